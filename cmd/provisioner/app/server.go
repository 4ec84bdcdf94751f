package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/metrics/legacyregistry"

	"platform.dev/stores/charts"
	"platform.dev/stores/cmd/internal/command"
	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/pkg/provisioner/helm"
	"platform.dev/stores/pkg/provisioner/multiplex"
	"platform.dev/stores/pkg/provisioner/shards"
)

// NewCommand returns the command that provisions until it gets SIGTERM or
// SIGINT.
func NewCommand() *cobra.Command {
	o := NewOptions()
	cmd := &cobra.Command{
		Use:   "provisioner",
		Short: "Turn Stores into running shops",
		Long: `Watch Stores and make of each a running shop: a namespace with its bounds,
credentials, the Helm release of the store's engine, and a storefront that is
seen to sell. What is deleted is taken down and seen to be gone.

In a store's namespace the provisioner has the rights of one ClusterRole, which
it binds to itself there. Anywhere else it only watches what can hold no secret.`,
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Begin(cmd, o.Logs, nil); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return run(ctx, o)
		},
	}
	command.AddFlags(cmd, o.Flags())
	return cmd
}

// run provisions until ctx is done, and returns when what had begun has ended.
func run(ctx context.Context, o *Options) error {
	var engines []provisioner.EngineManifest
	if o.EnginesDir != "" {
		var err error
		if engines, err = provisioner.ReadEngines(os.DirFS(o.EnginesDir)); err != nil {
			return err
		}
	}
	config, err := restConfig(o.Kubeconfig)
	if err != nil {
		return err
	}
	shares, err := newShares(config, o)
	if err != nil {
		return err
	}
	// Whatever works on stores is cut off once others may work on them.
	config.Wrap(shares.Fence)
	c, err := controllerConfig(config, o)
	if err != nil {
		return err
	}
	c.Shares = shares
	controller, err := provisioner.New(c)
	if err != nil {
		return err
	}
	legacyregistry.MustRegister(controller.Registerables()...)
	legacyregistry.CustomMustRegister(controller.Collector(), shares.Collector())
	servers, err := serve(o, controller)
	if err != nil {
		return err
	}
	defer servers.close()
	return work(ctx, shares, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			provisioner.ApplyEngines(ctx, c.Stores, engines)
			return nil
		})
		group.Go(func() error { return controller.Run(ctx) })
		return group.Wait()
	})
}

// work does the work until ctx is done. The share of the stores is held until
// the work has ended, so that the next holder finds nothing under way; once it is
// lost, the work is not waited for.
func work(ctx context.Context, shares *shards.Shards, do func(context.Context) error) error {
	hold, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	working, stop := context.WithCancel(ctx)
	defer stop()
	worked, shared := make(chan error, 1), make(chan error, 1)
	go func() { worked <- do(working) }()
	go func() { shared <- shares.Run(hold) }()
	select {
	case err := <-shared:
		return err
	case err := <-worked:
		release()
		return errors.Join(err, <-shared)
	}
}

// newShares returns this process's share of the stores. Its client is its own:
// a queue of other requests must not hold the lease up.
func newShares(config *rest.Config, o *Options) (*shards.Shards, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	config = rest.CopyConfig(config)
	config.Timeout = o.RenewDeadline / 2
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return shards.New(shards.Config{
		Leases:   client.CoordinationV1().Leases(o.PlatformNamespace),
		Identity: host + "_" + string(uuid.NewUUID()), Count: o.Shards,
		LeaseDuration: o.LeaseDuration, RenewDeadline: o.RenewDeadline, RetryPeriod: o.RetryPeriod,
	}), nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	// The API server's priority and fairness is the limit.
	config.QPS = -1
	// Each watch that is compressed takes 40 KiB here and more in the API server, and
	// there are many.
	config.DisableCompression = true
	return rest.AddUserAgent(config, "stores-provisioner"), nil
}

func controllerConfig(config *rest.Config, o *Options) (provisioner.Config, error) {
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"
	protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	stores, err1 := versioned.NewForConfig(config)
	kube, err2 := kubernetes.NewForConfig(protobuf)
	metadataClient, err3 := metadata.NewForConfig(config)
	dynamicClient, err4 := dynamic.NewForConfig(config)
	streams, err5 := multiplex.ClientFor(config)
	helmSDK, err6 := helm.NewSDK(config)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return provisioner.Config{}, fmt.Errorf("making clients: %w", err)
	}
	return provisioner.Config{
		Stores: stores, Kube: kube, Metadata: metadataClient, Dynamic: dynamicClient, Streams: streams,
		Helm: helmSDK, Charts: chart.NewCharts(charts.FS()),
		Identity: provisioner.Identity{
			Namespace: o.PlatformNamespace, ServiceAccount: o.ServiceAccount, ClusterRole: o.NamespaceClusterRole,
			Reader: provisioner.Reader{ServiceAccount: o.ReaderServiceAccount, ClusterRole: o.ReaderClusterRole},
		},
		Platform: engine.Platform{Scheme: o.StoreURLScheme, Port: o.StoreURLPort},
		Workers:  o.Workers,

		StorefrontURL: storefrontURL(o.StorefrontAddress),
	}, nil
}

// storefrontURL leads every check of a storefront to address, or is nil if there is
// none.
func storefrontURL(address string) func(namespace, service string, port int32) string {
	if address == "" {
		return nil
	}
	return func(string, string, int32) string { return "http://" + address }
}
