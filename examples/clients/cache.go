package clients

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// engineField is the index of stores by their engine.
const engineField = "spec.engine"

// Cache returns controller-runtime's cache of a namespace's stores, which runs until ctx
// ends. A manager makes one by itself; its scheme needs v1alpha1.AddToScheme all the same.
func Cache(ctx context.Context, config *rest.Config, namespace string) (cache.Cache, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	stores, err := cache.New(config, cache.Options{Scheme: scheme, DefaultNamespaces: map[string]cache.Config{namespace: {}}})
	if err != nil {
		return nil, err
	}
	byEngine := func(object client.Object) []string { return []string{object.(*v1alpha1.Store).Spec.Engine} }
	if err := stores.IndexField(ctx, &v1alpha1.Store{}, engineField, byEngine); err != nil {
		return nil, err
	}
	go func() { _ = stores.Start(ctx) }() // It fails only if it is started twice.
	if !stores.WaitForCacheSync(ctx) {
		return nil, errors.New("the stores could not be read in time")
	}
	return stores, nil
}

// StoresOf lists the stores of an engine, from the cache or from the server.
func StoresOf(ctx context.Context, reader client.Reader, engine string) ([]v1alpha1.Store, error) {
	var list v1alpha1.StoreList
	err := reader.List(ctx, &list, client.MatchingFields{engineField: engine})
	return list.Items, err
}
