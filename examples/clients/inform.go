package clients

import (
	"context"
	"errors"

	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/informers/externalversions"
	listers "platform.dev/stores/pkg/generated/listers/platform/v1alpha1"
)

// Follow calls changed with every state of the namespace's stores until ctx ends: first
// with all that there are, then with what the server sends. The lister that it returns
// reads from the memory that this keeps, and asks the server nothing. Neither may change
// what it is given.
func Follow(ctx context.Context, client versioned.Interface, namespace string, changed func(*v1alpha1.Store)) (listers.StoreNamespaceLister, error) {
	factory := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithNamespace(namespace))
	stores := factory.Platform().V1alpha1().Stores()
	if _, err := stores.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { changed(obj.(*v1alpha1.Store)) },
		UpdateFunc: func(_, obj any) { changed(obj.(*v1alpha1.Store)) },
	}); err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), stores.Informer().HasSynced) {
		return nil, errors.New("the stores could not be read in time")
	}
	return stores.Lister().Stores(namespace), nil
}
