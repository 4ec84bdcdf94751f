package apiserver

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/claims"
	"platform.dev/stores/pkg/storage/codec"
	"platform.dev/stores/pkg/storage/postgres"
	"platform.dev/stores/pkg/storage/postgres/watchcache"
)

// keyPrefix is the root of all keys in the database.
const keyPrefix = "/platform.dev"

// restOptions puts every resource into the database, under the watch cache.
type restOptions struct {
	database           *postgres.Database
	objectCountTracker flowcontrolrequest.StorageObjectCountTracker
	rules              *claims.Rules // what the objects claim
	transformers       value.ResourceTransformers
}

var _ generic.RESTOptionsGetter = &restOptions{}

// claiming returns the same options for a resource whose objects make claims.
func (o *restOptions) claiming(rules *claims.Rules) *restOptions {
	options := *o
	options.rules = rules
	return &options
}

// GetRESTOptions returns how a resource is stored. The example is not needed:
// every resource is stored in the one version there is.
func (o *restOptions) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.NewDefaultConfig(keyPrefix, codec.JSON(Scheme, v1alpha1.SchemeGroupVersion))
	config.EncodeVersioner = runtime.NewMultiGroupVersioner(v1alpha1.SchemeGroupVersion, schema.GroupKind{Group: v1alpha1.GroupName})
	if o.transformers != nil {
		config.Transformer = o.transformers.TransformerForResource(resource)
	}
	return generic.RESTOptions{
		StorageConfig:             config.ForResource(resource),
		Decorator:                 watchcache.Decorator(o.database, o.rules, watchcache.RoundTrips),
		EnableGarbageCollection:   true,
		DeleteCollectionWorkers:   1,
		ResourcePrefix:            keyPrefix + "/" + resource.Resource,
		CountMetricPollPeriod:     time.Minute,
		StorageObjectCountTracker: o.objectCountTracker,
	}, nil
}
