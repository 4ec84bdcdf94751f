package app

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/admission"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"platform.dev/stores/charts"
	"platform.dev/stores/cmd/internal/command"
	"platform.dev/stores/pkg/admission/initializer"
	"platform.dev/stores/pkg/apiserver"
	"platform.dev/stores/pkg/engine"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/informers/externalversions"
	"platform.dev/stores/pkg/generated/openapi"
	"platform.dev/stores/pkg/preview"
	"platform.dev/stores/pkg/storage/postgres"
)

func init() {
	// The flags of the logs have feature gates of their own.
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// NewCommand returns the command that serves until ctx is done.
func NewCommand(ctx context.Context) *cobra.Command {
	o := NewOptions()
	cmd := &cobra.Command{
		Use:   "apiserver",
		Short: "Serve the platform.dev API",
		Long: `Serve Stores and Engines as Kubernetes resources, with PostgreSQL as storage.

The server stands behind a Kubernetes API server, which forwards the requests of
group platform.dev to it by an APIService. Users are authenticated there; this
server asks it who they are and what they may do.`,
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return o.ServerRun.ComponentGlobalsRegistry.Set()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Begin(cmd, o.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	cmd.SetContext(ctx)
	command.AddFlags(cmd, o.Flags())
	migrate := newMigrateCommand()
	own := cobra.Command{} // the texts of the server list its flags
	migrate.SetUsageFunc(own.UsageFunc())
	migrate.SetHelpFunc(own.HelpFunc())
	cmd.AddCommand(migrate)
	return cmd
}

// run serves until ctx is done and then shuts down: first readiness goes, then
// watches end, then requests, then the database is closed.
func run(ctx context.Context, o *Options) error {
	postgres.EnableWatchProgress()
	config, informers, err := genericConfig(o)
	if err != nil {
		return err
	}
	database, err := o.Postgres.Open(ctx, databaseConfig(o, config))
	if err != nil {
		return err
	}
	defer database.Close()
	legacyregistry.CustomMustRegister(database.Collector())
	cluster, err := kubernetes.NewForConfig(config.ClientConfig)
	if err != nil {
		return fmt.Errorf("making a client of the cluster: %w", err)
	}
	transformers, err := o.Encryption.Load(ctx, config)
	if err != nil {
		return err
	}
	server, err := (&apiserver.Config{
		GenericConfig: config,
		ExtraConfig: apiserver.ExtraConfig{
			Database: database, Transformers: transformers, Domain: o.Domain, QuotaDefaults: o.Quota.Defaults(), Cluster: cluster.CoreV1(),
			Shops: preview.New(charts.FS(), cluster.Discovery(), engine.Platform{Scheme: o.StoreURLScheme, Port: o.StoreURLPort}),
		},
	}).Complete().New()
	if err != nil {
		return err
	}
	if err := server.AddPostStartHook("start-platform-informers", func(hook genericapiserver.PostStartHookContext) error {
		informers.Start(hook.Done())
		return nil
	}); err != nil {
		return fmt.Errorf("adding the informers' start: %w", err)
	}
	return server.PrepareRun().RunWithContext(ctx)
}

// databaseConfig is what the database is told besides where it is. Only if traces are
// configured does anybody look at every statement.
func databaseConfig(o *Options, config *genericapiserver.RecommendedConfig) postgres.Config {
	c := postgres.Config{HistoryRetention: o.History.Retention, HistoryMaxBytes: o.History.MaxSize.Value()}
	if o.Recommended.Traces.ConfigFile != "" {
		c.TracerProvider = config.TracerProvider
	}
	return c
}

// genericConfig applies all flags but the database's. The returned informers
// watch the server itself, for admission; the caller starts them.
func genericConfig(o *Options) (*genericapiserver.RecommendedConfig, externalversions.SharedInformerFactory, error) {
	if o.SelfSigned {
		if err := o.Recommended.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
			return nil, nil, fmt.Errorf("making a self-signed certificate: %w", err)
		}
	}
	var informers externalversions.SharedInformerFactory
	o.Recommended.ExtraAdmissionInitializers = func(c *genericapiserver.RecommendedConfig) ([]admission.PluginInitializer, error) {
		client, err := clientset.NewForConfig(c.LoopbackClientConfig)
		if err != nil {
			return nil, fmt.Errorf("making a client of this server: %w", err)
		}
		informers = externalversions.NewSharedInformerFactory(client, 0)
		return []admission.PluginInitializer{initializer.New(client, informers)}, nil
	}

	config := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	config.FeatureGate = utilfeature.DefaultFeatureGate
	config.EffectiveVersion = o.ServerRun.ComponentGlobalsRegistry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent)
	namer := openapinamer.NewDefinitionNamer(apiserver.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "platform.dev"
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config.Info.Title = "platform.dev"
	if err := o.ServerRun.ApplyTo(&config.Config); err != nil {
		return nil, nil, fmt.Errorf("applying the generic flags: %w", err)
	}
	if err := o.Recommended.ApplyTo(config); err != nil {
		return nil, nil, fmt.Errorf("applying the server's flags: %w", err)
	}
	return config, informers, nil
}
