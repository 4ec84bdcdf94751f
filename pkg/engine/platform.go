package engine

import (
	"net"
	"strconv"
	"strings"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// Platform are the facts about the installation that a store's values and
// addresses depend on.
type Platform struct {
	// Scheme is how shoppers reach the stores: "http" or "https".
	Scheme string
	// Port is the port of the stores' URLs; 0 means the scheme's own.
	Port int
	// CredentialsSecret is the name of the Secret in each store's namespace
	// that holds the engine's credentials.
	CredentialsSecret string
}

// URL is where shoppers find the store, without a trailing slash. It is empty
// while the store has no host.
func (p Platform) URL(s *v1alpha1.Store) string {
	if s.Spec.Host == "" {
		return ""
	}
	return p.Scheme + "://" + p.HostPort(s)
}

// HostPort is the store's host as a browser sends it: with the port only when
// that is not the scheme's own.
func (p Platform) HostPort(s *v1alpha1.Store) string {
	if p.Port == 0 || p.Port == defaultPorts[p.Scheme] {
		return s.Spec.Host
	}
	return net.JoinHostPort(s.Spec.Host, strconv.Itoa(p.Port))
}

// AdminURL is where the store's administrator logs in. It is empty while the
// store has no host.
func (p Platform) AdminURL(e *v1alpha1.Engine, s *v1alpha1.Store) string {
	url := p.URL(s)
	if url == "" {
		return ""
	}
	return url + "/" + strings.TrimPrefix(e.Spec.Storefront.AdminPath, "/")
}

var defaultPorts = map[string]int{"http": 80, "https": 443}

// field is what one StoreField of s holds: a string or a bool. The second
// result is false for a field this version does not know.
func (p Platform) field(s *v1alpha1.Store, f v1alpha1.StoreField) (any, bool) {
	switch f {
	case v1alpha1.StoreFieldName:
		return s.Name, true
	case v1alpha1.StoreFieldDisplayName:
		return s.Spec.DisplayName, true
	case v1alpha1.StoreFieldHost:
		return s.Spec.Host, true
	case v1alpha1.StoreFieldURL:
		return p.URL(s), true
	case v1alpha1.StoreFieldAdminEmail:
		return s.Spec.AdminEmail, true
	case v1alpha1.StoreFieldVersion:
		return s.Spec.Version, true
	case v1alpha1.StoreFieldPlan:
		return s.Spec.Plan, true
	case v1alpha1.StoreFieldCredentialsSecret:
		return p.CredentialsSecret, true
	case v1alpha1.StoreFieldHibernated:
		return s.Spec.PowerState == v1alpha1.PowerStateHibernated, true
	case v1alpha1.StoreFieldRetainData:
		return s.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain, true
	}
	return nil, false
}
