package postgres

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/storage/claims"
)

// Decorator returns what a registry needs to keep its objects in d: for each resource a
// Storage with the watch cache of the API server on top. Of the storage configuration
// the codec, transformer, resource name and events window are used. rules are what the
// resource's objects claim, nil for nothing.
//
// Destroying a decorated storage leaves d open: its owner calls Close after the last
// of them.
func (d *Database) Decorator(rules *claims.Rules) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		keyFunc func(obj runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object,
		getAttrs storage.AttrFunc,
		triggers storage.IndexerFuncs,
		indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		raw, err := d.NewStorage(Resource{
			GroupResource: config.GroupResource,
			Prefix:        resourcePrefix,
			Codec:         config.Codec,
			Transformer:   config.Transformer,
			Claims:        rules,
			NewFunc:       newFunc,
			NewListFunc:   newListFunc,
		})
		if err != nil {
			return nil, nil, err
		}
		cached, err := cacher.NewCacherFromConfig(cacher.Config{
			Storage:             raw,
			Versioner:           raw.Versioner(),
			GroupResource:       config.GroupResource,
			EventsHistoryWindow: config.EventsHistoryWindow,
			ResourcePrefix:      resourcePrefix,
			KeyFunc:             keyFunc,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			GetAttrsFunc:        getAttrs,
			IndexerFuncs:        triggers,
			Indexers:            indexers,
			Codec:               config.Codec,
		})
		if err != nil {
			return nil, nil, fmt.Errorf("caching %s: %w", config.GroupResource, err)
		}
		delegator := cacher.NewCacheDelegator(cached, raw)
		destroy := sync.OnceFunc(func() {
			delegator.Stop()
			cached.Stop()
		})
		return delegator, destroy, nil
	}
}

// progressSupported makes the watch cache use what Storage can do. The rest of the
// interface must come from the original, one of its methods has an unexported type.
type progressSupported struct {
	feature.FeatureSupportChecker
}

// Supports implements feature.FeatureSupportChecker.
func (progressSupported) Supports(f storage.Feature) bool {
	return f == storage.RequestWatchProgress
}

// MarkUnsupported implements feature.FeatureSupportChecker. Support does not change.
func (progressSupported) MarkUnsupported(storage.Feature) {}

// EnableWatchProgress tells the watch caches of this process that their storage reports
// its progress on request, which lets them answer consistent lists. Call it once,
// before the first storage is made; it sets a global variable of the API server library.
func EnableWatchProgress() {
	feature.DefaultFeatureSupportChecker = progressSupported{feature.NewDefaultFeatureSupportChecker()}
}
