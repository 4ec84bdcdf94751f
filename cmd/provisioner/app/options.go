// Package app turns the provisioner's flags into a running provisioner.
package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// Options are the provisioner's flags.
type Options struct {
	// Kubeconfig is empty inside a cluster.
	Kubeconfig string
	// Workers is how many stores are worked on at once.
	Workers int
	// StoreURLScheme and StoreURLPort are how shoppers reach stores.
	StoreURLScheme string
	StoreURLPort   int
	// StorefrontAddress is where checks of storefronts connect to; empty for the
	// stores' Services.
	StorefrontAddress string
	// EnginesDir holds the manifests of Engines to apply.
	EnginesDir string

	// PlatformNamespace, ServiceAccount and NamespaceClusterRole are who the
	// provisioner is, and what it binds itself in each store's namespace.
	PlatformNamespace    string
	ServiceAccount       string
	NamespaceClusterRole string
	// ReaderServiceAccount and ReaderClusterRole are who may read the credentials
	// of stores, and by which role.
	ReaderServiceAccount string
	ReaderClusterRole    string

	// Shards is how many parts the stores are divided into among the replicas.
	Shards                                    int
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration

	// HealthBindAddress and MetricsBindAddress are where the process answers.
	HealthBindAddress  string
	MetricsBindAddress string
	// Profiling serves profiles beside the metrics.
	Profiling bool

	Logs *logs.Options
}

// NewOptions returns the defaults. The identity comes from the environment, as
// the downward API gives it.
func NewOptions() *Options {
	return &Options{
		Workers:              4,
		StoreURLScheme:       "https",
		PlatformNamespace:    os.Getenv("POD_NAMESPACE"),
		ServiceAccount:       os.Getenv("POD_SERVICE_ACCOUNT"),
		NamespaceClusterRole: "stores-provisioner-namespace",
		Shards:               16,
		LeaseDuration:        15 * time.Second,
		RenewDeadline:        10 * time.Second,
		RetryPeriod:          2 * time.Second,
		HealthBindAddress:    ":8081",
		Logs:                 logs.NewOptions(),
	}
}

// Flags returns all flags in named sets, for a help text that can be read.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("stores")
	fs.IntVar(&o.Workers, "workers", o.Workers, "How many stores are worked on at once.")
	fs.StringVar(&o.StoreURLScheme, "store-url-scheme", o.StoreURLScheme, "How shoppers reach stores: http or https.")
	fs.IntVar(&o.StoreURLPort, "store-url-port", o.StoreURLPort, "Port of the stores' URLs; 0 is the scheme's own.")
	fs.StringVar(&o.StorefrontAddress, "storefront-address", o.StorefrontAddress, "Host and port of what routes shoppers to stores, such as an ingress controller, to check storefronts there: for a provisioner outside of the cluster. Empty connects to the stores' Services.")
	fs.StringVar(&o.EnginesDir, "engines-dir", o.EnginesDir, "Folder with the manifests, *.yaml, of Engines to apply at start. Empty applies none.")

	fs = sets.FlagSet("identity")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig. Empty uses the pod's service account.")
	fs.StringVar(&o.PlatformNamespace, "platform-namespace", o.PlatformNamespace, "Namespace of the provisioner's service account and leases. The default is the environment's POD_NAMESPACE.")
	fs.StringVar(&o.ServiceAccount, "service-account", o.ServiceAccount, "The provisioner's service account, which is given rights in each store's namespace. The default is the environment's POD_SERVICE_ACCOUNT.")
	fs.StringVar(&o.NamespaceClusterRole, "namespace-cluster-role", o.NamespaceClusterRole, "ClusterRole that the provisioner binds itself in each store's namespace.")
	fs.StringVar(&o.ReaderServiceAccount, "credentials-reader", o.ReaderServiceAccount, "Service account in the platform's namespace, of the API server, that is given --credentials-reader-cluster-role in each store's namespace. Empty gives it to nobody.")
	fs.StringVar(&o.ReaderClusterRole, "credentials-reader-cluster-role", o.ReaderClusterRole, "ClusterRole that lets the API server read the credentials of a store.")

	fs = sets.FlagSet("sharing")
	fs.IntVar(&o.Shards, "shards", o.Shards, "How many parts the stores are divided into among the replicas, and so the most replicas that have work. The same for all: replicas that disagree wait for each other to go.")
	fs.DurationVar(&o.LeaseDuration, "lease-duration", o.LeaseDuration, "How long the other replicas wait for one that does not renew its lease before they take its stores.")
	fs.DurationVar(&o.RenewDeadline, "lease-renew-deadline", o.RenewDeadline, "How long a replica that cannot renew its lease works on before it ends. Less than the lease's duration.")
	fs.DurationVar(&o.RetryPeriod, "lease-retry-period", o.RetryPeriod, "How often a replica renews its lease and looks at the others'.")

	fs = sets.FlagSet("serving")
	fs.StringVar(&o.HealthBindAddress, "health-bind-address", o.HealthBindAddress, "Where /healthz and /readyz answer.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "Where /metrics answers. Empty serves no metrics.")
	fs.BoolVar(&o.Profiling, "profiling", o.Profiling, "Serve profiles of the process, /debug/pprof/, beside the metrics.")

	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// Validate returns every fault of the flags, before anything is opened.
func (o *Options) Validate() error {
	var errs []error
	if o.Workers < 1 {
		errs = append(errs, fmt.Errorf("--workers=%d must be at least 1", o.Workers))
	}
	if o.StoreURLScheme != "http" && o.StoreURLScheme != "https" {
		errs = append(errs, fmt.Errorf("--store-url-scheme=%q must be http or https", o.StoreURLScheme))
	}
	if o.StoreURLPort < 0 || o.StoreURLPort > 65535 {
		errs = append(errs, fmt.Errorf("--store-url-port=%d must be from 0 to 65535", o.StoreURLPort))
	}
	if o.PlatformNamespace == "" {
		errs = append(errs, errors.New("--platform-namespace or POD_NAMESPACE is required"))
	}
	if o.ServiceAccount == "" {
		errs = append(errs, errors.New("--service-account or POD_SERVICE_ACCOUNT is required"))
	}
	if o.NamespaceClusterRole == "" {
		errs = append(errs, errors.New("--namespace-cluster-role is required"))
	}
	if o.ReaderServiceAccount != "" && o.ReaderClusterRole == "" {
		errs = append(errs, errors.New("--credentials-reader needs --credentials-reader-cluster-role"))
	}
	if o.Shards < 1 || o.Shards > 1024 {
		errs = append(errs, fmt.Errorf("--shards=%d must be from 1 to 1024", o.Shards))
	}
	if o.RetryPeriod <= 0 || o.RenewDeadline <= o.RetryPeriod || o.LeaseDuration <= o.RenewDeadline {
		errs = append(errs, fmt.Errorf("--lease-duration=%s must be greater than --lease-renew-deadline=%s, and that greater than --lease-retry-period=%s",
			o.LeaseDuration, o.RenewDeadline, o.RetryPeriod))
	}
	for flag, address := range map[string]string{
		"health-bind-address": o.HealthBindAddress, "metrics-bind-address": o.MetricsBindAddress, "storefront-address": o.StorefrontAddress,
	} {
		if _, _, err := net.SplitHostPort(address); err != nil && (address != "" || flag == "health-bind-address") {
			errs = append(errs, fmt.Errorf("--%s=%q: %w", flag, address, err))
		}
	}
	return utilerrors.NewAggregate(errs)
}
