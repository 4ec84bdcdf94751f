// Package app turns the dashboard's flags into a running dashboard.
package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// Options are the dashboard's flags.
type Options struct {
	// BindAddress is where browsers, or the ingress before them, connect.
	BindAddress string
	// ExternalURL is where browsers find the dashboard.
	ExternalURL string
	// TLSCertFile and TLSKeyFile are empty behind an ingress.
	TLSCertFile, TLSKeyFile string
	// AllowPlainHTTP lets cookies travel unencrypted beyond this machine.
	AllowPlainHTTP bool

	// KubeURL and KubeCAFile are how the kube API is reached.
	KubeURL, KubeCAFile string

	// SessionKeyFile holds what seals the cookies; all replicas share it.
	SessionKeyFile string
	MaxSession     time.Duration
	MaxStream      time.Duration

	// OIDCIssuerURL is empty where users sign in with tokens only.
	OIDCIssuerURL        string
	OIDCClientID         string
	OIDCClientSecretFile string
	OIDCCAFile           string
	OIDCScopes           []string

	// DefaultNamespace and StoreDomain are hints for the interface.
	DefaultNamespace, StoreDomain string

	// ShutdownDelay is for how long requests are still taken after SIGTERM, until
	// nobody sends any more.
	ShutdownDelay time.Duration

	// HealthBindAddress and MetricsBindAddress are where the process answers.
	HealthBindAddress  string
	MetricsBindAddress string

	Logs *logs.Options
}

// NewOptions returns the defaults. The address of the kube API comes from the
// environment that every pod has.
func NewOptions() *Options {
	o := &Options{
		BindAddress:       ":8080",
		ExternalURL:       "http://localhost:8080",
		MaxSession:        12 * time.Hour,
		MaxStream:         10 * time.Minute,
		OIDCScopes:        []string{"openid", "email", "groups", "offline_access"},
		DefaultNamespace:  "default",
		HealthBindAddress: ":8081",
		Logs:              logs.NewOptions(),
	}
	if host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"); host != "" && port != "" {
		o.KubeURL = "https://" + net.JoinHostPort(host, port)
	}
	return o
}

// Flags returns all flags in named sets, for a help text that can be read.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("kube API")
	fs.StringVar(&o.KubeURL, "kube-url", o.KubeURL, "Address of the kube API. The default is the cluster's own, in a pod.")
	fs.StringVar(&o.KubeCAFile, "kube-ca-file", o.KubeCAFile, "Authorities of the kube API's certificate. Empty uses the system's.")

	fs = sets.FlagSet("session")
	fs.StringVar(&o.SessionKeyFile, "session-key-file", o.SessionKeyFile, "File with the keys that seal sessions: 32 bytes in base64, one key a line. The first seals, all open. Replicas share it. Empty makes a key that ends with the process.")
	fs.DurationVar(&o.MaxSession, "max-session", o.MaxSession, "How long a user stays signed in at most.")
	fs.DurationVar(&o.MaxStream, "max-stream", o.MaxStream, "How long a watch or a followed log lasts at most before it has to ask again.")

	fs = sets.FlagSet("identity provider")
	fs.StringVar(&o.OIDCIssuerURL, "oidc-issuer-url", o.OIDCIssuerURL, "Issuer of an OpenID Connect provider that the cluster accepts ID tokens of. Empty leaves signing in with a token.")
	fs.StringVar(&o.OIDCClientID, "oidc-client-id", o.OIDCClientID, "Client that the provider knows the dashboard as.")
	fs.StringVar(&o.OIDCClientSecretFile, "oidc-client-secret-file", o.OIDCClientSecretFile, "File with the client's secret. Empty is a public client.")
	fs.StringVar(&o.OIDCCAFile, "oidc-ca-file", o.OIDCCAFile, "Authorities of the provider's certificate. Empty uses the system's.")
	fs.StringSliceVar(&o.OIDCScopes, "oidc-scopes", o.OIDCScopes, "Scopes to ask for.")

	fs = sets.FlagSet("interface")
	fs.StringVar(&o.DefaultNamespace, "default-namespace", o.DefaultNamespace, "Namespace that the interface begins with.")
	fs.StringVar(&o.StoreDomain, "store-domain", o.StoreDomain, "Domain of stores without a host of their own, for the interface to show.")

	fs = sets.FlagSet("serving")
	fs.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "Where browsers, or the ingress before them, connect.")
	fs.StringVar(&o.ExternalURL, "external-url", o.ExternalURL, "Where browsers find the dashboard. With https, cookies are for HTTPS only.")
	fs.BoolVar(&o.AllowPlainHTTP, "allow-plain-http", o.AllowPlainHTTP, "Allow an external URL with http that is not this machine. Whoever listens on the way can then act as the users.")
	fs.StringVar(&o.TLSCertFile, "tls-cert-file", o.TLSCertFile, "Certificate to serve HTTPS and HTTP/2 with. It is read again when it changes. Empty serves HTTP, for an ingress.")
	fs.StringVar(&o.TLSKeyFile, "tls-private-key-file", o.TLSKeyFile, "Key of the certificate.")
	fs.DurationVar(&o.ShutdownDelay, "shutdown-delay-duration", o.ShutdownDelay, "For how long requests are still taken after SIGTERM, while the cluster learns not to send any more.")
	fs.StringVar(&o.HealthBindAddress, "health-bind-address", o.HealthBindAddress, "Where /healthz and /readyz answer.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "Where /metrics answers. Empty serves no metrics.")

	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// Validate returns every fault of the flags, before anything is opened.
func (o *Options) Validate() error {
	var errs []error
	if u, err := url.Parse(o.KubeURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		errs = append(errs, fmt.Errorf("--kube-url=%q must be the URL of the kube API", o.KubeURL))
	}
	errs = append(errs, o.validateExternalURL())
	if (o.TLSCertFile == "") != (o.TLSKeyFile == "") {
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file go together"))
	}
	for flag, duration := range map[string]time.Duration{"max-session": o.MaxSession, "max-stream": o.MaxStream} {
		if duration < time.Second {
			errs = append(errs, fmt.Errorf("--%s=%s must be at least a second", flag, duration))
		}
	}
	if o.ShutdownDelay < 0 {
		errs = append(errs, fmt.Errorf("--shutdown-delay-duration=%s must not be negative", o.ShutdownDelay))
	}
	if o.OIDCIssuerURL != "" {
		if u, err := url.Parse(o.OIDCIssuerURL); err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Hostname()) {
			errs = append(errs, fmt.Errorf("--oidc-issuer-url=%q must be an https URL", o.OIDCIssuerURL))
		}
	}
	if (o.OIDCIssuerURL == "") != (o.OIDCClientID == "") {
		errs = append(errs, errors.New("--oidc-issuer-url and --oidc-client-id go together"))
	}
	for flag, address := range map[string]string{"": o.BindAddress, "health-": o.HealthBindAddress, "metrics-": o.MetricsBindAddress} {
		if _, _, err := net.SplitHostPort(address); err != nil && (address != "" || flag != "metrics-") {
			errs = append(errs, fmt.Errorf("--%sbind-address=%q: %w", flag, address, err))
		}
	}
	return utilerrors.NewAggregate(errs)
}

func (o *Options) validateExternalURL() error {
	u, err := url.Parse(o.ExternalURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return fmt.Errorf("--external-url=%q must be a scheme and a host, without a path", o.ExternalURL)
	case u.Scheme == "http" && !loopback(u.Hostname()) && !o.AllowPlainHTTP:
		return fmt.Errorf("--external-url=%q must be https, or --allow-plain-http given: tokens would travel unencrypted", o.ExternalURL)
	case u.Scheme == "http" && o.TLSCertFile != "":
		return fmt.Errorf("--external-url=%q must be https with --tls-cert-file", o.ExternalURL)
	}
	return nil
}

// loopback is true for hosts that browsers know to be this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
