// Package watchcache puts the watch cache of the API server in front of a storage in
// PostgreSQL.
package watchcache

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/storage/claims"
	"platform.dev/stores/pkg/storage/postgres"
)

// Option changes how resources are stored.
type Option func(*postgres.Resource)

// RoundTrips is the promise of postgres.Resource for all resources of a decorator.
func RoundTrips(resource *postgres.Resource) { resource.RoundTrips = true }

// Decorator returns what a registry needs to keep its objects in db: for each resource a
// storage with the watch cache of the API server on top. Of the storage configuration
// the codec, transformer, resource name and events window are used. rules are what the
// resource's objects claim, nil for nothing.
//
// Destroying a decorated storage leaves db open: its owner calls Close after the last
// of them.
func Decorator(db *postgres.Database, rules *claims.Rules, options ...Option) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		keyFunc func(obj runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object,
		getAttrs storage.AttrFunc,
		triggers storage.IndexerFuncs,
		indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		resource := postgres.Resource{
			GroupResource: config.GroupResource,
			Prefix:        resourcePrefix,
			Codec:         config.Codec,
			Transformer:   config.Transformer,
			Claims:        rules,
			NewFunc:       newFunc,
			NewListFunc:   newListFunc,
		}
		for _, option := range options {
			option(&resource)
		}
		raw, err := db.NewStorage(resource)
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
		return &freshReads{CacheDelegator: delegator, cache: cached, storage: raw}, destroy, nil
	}
}
