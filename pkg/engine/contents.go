package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// What every store's namespace holds, whatever its engine's chart brings.
const (
	// ReleaseName is the Helm release that installs the engine's chart.
	ReleaseName = "store"
	// BoundsName is the ResourceQuota and the LimitRange of the store's plan.
	BoundsName = "store-plan"
	// DenyPolicyName is the NetworkPolicy that closes what the chart does not open.
	DenyPolicyName = "store-default-deny"
)

const namespaceMaxLength = 63

// NamespaceName is the namespace that a store gets. It is fixed for the
// store's life and, because the UID is part of it, not had by any other store,
// not even one of the same name later.
func NamespaceName(s *v1alpha1.Store) string {
	const prefix = "store-"
	suffix := "-" + uidHash(s.UID)
	name := s.Name
	if room := namespaceMaxLength - len(prefix) - len(suffix); len(name) > room {
		name = strings.TrimRight(name[:room], "-.")
	}
	// A namespace's name has no dots, and a store's might.
	return prefix + strings.ReplaceAll(name, ".", "-") + suffix
}

func uidHash(uid types.UID) string {
	sum := sha256.Sum256([]byte(uid))
	return hex.EncodeToString(sum[:4])
}

// Quota is what a store of the plan may have in all.
func Quota(plan *v1alpha1.EnginePlan) corev1.ResourceQuotaSpec {
	return corev1.ResourceQuotaSpec{Hard: resourceList(plan.Quota)}
}

// Limits is what a container of a store of the plan gets, if it asks for nothing, and
// at most.
func Limits(plan *v1alpha1.EnginePlan) corev1.LimitRangeSpec {
	return corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type:           corev1.LimitTypeContainer,
		DefaultRequest: resourceList(plan.Limits.DefaultRequest),
		Default:        resourceList(plan.Limits.Default),
		Max:            resourceList(plan.Limits.Max),
	}}}
}

// Deny lets no traffic in or out. The chart opens what its parts need, and the way in
// for shoppers and for the provisioner's checks.
func Deny() networkingv1.NetworkPolicySpec {
	return networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}}
}

func resourceList(quantities map[string]resource.Quantity) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range quantities {
		list[corev1.ResourceName(name)] = quantity
	}
	return list
}
