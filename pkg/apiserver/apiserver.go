// Package apiserver assembles the aggregated API server that serves
// platform.dev: its types, its resources and their storage in PostgreSQL.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/kube-openapi/pkg/builder3"
	openapiutil "k8s.io/kube-openapi/pkg/util"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/registry/platform/engines"
	"platform.dev/stores/pkg/registry/platform/quota"
	"platform.dev/stores/pkg/registry/platform/selfstorequotareviews"
	"platform.dev/stores/pkg/registry/platform/storequotas"
	"platform.dev/stores/pkg/registry/platform/stores"
	"platform.dev/stores/pkg/storage/history"
	"platform.dev/stores/pkg/storage/postgres"
)

// pingTimeout bounds the database check of readyz. The kubelet asks again.
const pingTimeout = 2 * time.Second

// maxBodyBytes bounds the body of a request. Objects are far smaller, and what the generic
// server does to record the managers of their fields takes time by the square of their
// number: for a body of its usual 3 MiB, half a minute of a processor.
const maxBodyBytes = 1 << 20

// ExtraConfig is what this server needs beyond a generic one.
type ExtraConfig struct {
	// Database holds all objects. The server closes it when it has stopped.
	Database *postgres.Database
	// Transformers encrypt the objects in the database. Optional.
	Transformers value.ResourceTransformers
	// Domain is where stores without a host of their own answer, such as
	// "shops.example.com".
	Domain string
	// QuotaDefaults bound owners of stores whom no StoreQuota concerns.
	QuotaDefaults quota.Defaults
	// Cluster is the cluster that the stores run in, where their credentials are.
	Cluster stores.Cluster
	// Shops tells what would change in the shops of stores, to answer dry runs.
	Shops stores.Shops
}

// Config is the server's configuration. Complete it before use.
type Config struct {
	GenericConfig *genericapiserver.RecommendedConfig
	ExtraConfig   ExtraConfig
}

type completedConfig struct {
	genericConfig genericapiserver.CompletedConfig
	extraConfig   ExtraConfig
	restOptions   *restOptions
	connections   *connections
}

// CompletedConfig is a configuration from which a server can be made. Only
// Complete makes one.
type CompletedConfig struct {
	*completedConfig
}

// Complete fills what is derived from other settings. It changes c.
func (c *Config) Complete() CompletedConfig {
	options := &restOptions{
		database:           c.ExtraConfig.Database,
		objectCountTracker: c.GenericConfig.StorageObjectCountTracker,
		transformers:       c.ExtraConfig.Transformers,
	}
	c.GenericConfig.RESTOptionsGetter = options
	c.GenericConfig.MaxRequestBodyBytes = maxBodyBytes
	connections := &connections{}
	c.GenericConfig.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		return connections.wrap(chainWithFrontProxy(handler, config))
	}
	return CompletedConfig{&completedConfig{c.GenericConfig.Complete(), c.ExtraConfig, options, connections}}
}

// New returns a server that is ready to be prepared and run.
func (c CompletedConfig) New() (*genericapiserver.GenericAPIServer, error) {
	if c.extraConfig.Database == nil {
		return nil, errors.New("the API server needs a database")
	}
	if c.extraConfig.Cluster == nil {
		return nil, errors.New("the API server needs a client of the cluster")
	}
	if c.extraConfig.Shops == nil {
		return nil, errors.New("the API server needs what renders shops")
	}
	server, err := c.genericConfig.New("platform-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("making the generic API server: %w", err)
	}
	storage, err := c.storage()
	if err != nil {
		return nil, err
	}
	group := genericapiserver.NewDefaultAPIGroupInfo(v1alpha1.GroupName, Scheme, runtime.NewParameterCodec(Scheme), Codecs)
	group.NegotiatedSerializer = textSerializer{group.NegotiatedSerializer}
	group.VersionedResourcesStorageMap[v1alpha1.SchemeGroupVersion.Version] = storage
	if err := server.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("installing the API group %s: %w", v1alpha1.GroupName, err)
	}
	if err := c.addHealth(server); err != nil {
		return nil, err
	}
	if err := server.AddPreShutdownHook("send-clients-away", c.connections.leave); err != nil {
		return nil, fmt.Errorf("adding the shutdown hook: %w", err)
	}
	return server, nil
}

func (c CompletedConfig) storage() (map[string]rest.Storage, error) {
	options, database := c.restOptions, c.extraConfig.Database
	storeQuota, err := storequotas.NewREST(Scheme, options)
	if err != nil {
		return nil, err
	}
	quotas := &quota.Quotas{Defaults: c.extraConfig.QuotaDefaults, Lister: storeQuota}
	rules := stores.Rules(quotas)
	engine, engineStatus, err := engines.NewREST(Scheme, options)
	if err != nil {
		return nil, err
	}
	store, status, err := stores.NewREST(Scheme, options.claiming(rules), c.extraConfig.Domain, rules, database, engine, c.extraConfig.Shops)
	if err != nil {
		return nil, err
	}
	past, err := c.past("stores")
	if err != nil {
		return nil, err
	}
	// The models by which the generic server records who manages which field.
	models, err := builder3.BuildOpenAPIDefinitionsForResources(c.genericConfig.OpenAPIV3Config, openapiutil.GetCanonicalTypeName(&v1alpha1.Store{}))
	if err != nil {
		return nil, fmt.Errorf("describing stores: %w", err)
	}
	fields, err := managedfields.NewTypeConverter(models, false)
	if err != nil {
		return nil, fmt.Errorf("reading the description of stores: %w", err)
	}
	rollback, err := stores.NewRollbackREST(store, engine, past, c.genericConfig.AdmissionControl, Scheme, fields)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{
		"stores":                store,
		"stores/status":         status,
		"stores/credentials":    stores.NewCredentialsREST(store, engine, c.extraConfig.Cluster),
		"stores/history":        stores.NewHistoryREST(store, past, Scheme),
		"stores/rollback":       rollback,
		"engines":               engine,
		"engines/status":        engineStatus,
		"storequotas":           storeQuota,
		"selfstorequotareviews": selfstorequotareviews.NewREST(quotas, database),
	}, nil
}

// past is what the database remembers of a resource.
func (c CompletedConfig) past(resource string) (history.Reader, error) {
	options, err := c.genericConfig.RESTOptionsGetter.GetRESTOptions(v1alpha1.Resource(resource), nil)
	if err != nil {
		return nil, fmt.Errorf("finding the storage of %s: %w", resource, err)
	}
	return c.extraConfig.Database.Past(postgres.Resource{
		GroupResource: options.StorageConfig.GroupResource,
		Prefix:        options.ResourcePrefix,
		Codec:         options.StorageConfig.Codec,
		Transformer:   options.StorageConfig.Transformer,
	})
}

// addHealth makes readyz, and not livez, depend on what the server needs from
// others: restarting this process brings neither back, and would lose the watch
// cache that still answers reads.
func (c CompletedConfig) addHealth(server *genericapiserver.GenericAPIServer) error {
	database := healthz.NamedCheck("postgres", func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
		defer cancel()
		return c.extraConfig.Database.Ping(ctx)
	})
	frontProxy := healthz.NamedCheck("front-proxy-ca", func(*http.Request) error {
		return frontProxyRead(c.genericConfig.Config)
	})
	if err := server.AddReadyzChecks(database, frontProxy); err != nil {
		return fmt.Errorf("adding the readiness checks: %w", err)
	}
	// The library fills this hook and leaves it to the server to run it.
	return server.AddPostStartHook("storage-readiness", server.StorageReadinessHook.Hook)
}
