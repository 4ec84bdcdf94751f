package clients

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
)

// ErrGone is the error of waiting for a store that is not there, or no more.
var ErrGone = errors.New("the store is gone")

// WaitUntilReady returns the store once it sells as its spec asks for. It returns an error
// as soon as waiting does not help, with what the provisioner tells of it. ctx bounds it.
func WaitUntilReady(ctx context.Context, client versioned.Interface, namespace, name string) (*v1alpha1.Store, error) {
	stores := client.PlatformV1alpha1().Stores(namespace)
	one := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = one
			return stores.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = one
			return stores.Watch(ctx, options)
		},
	}, client)
	exists := func(known cache.Store) (bool, error) {
		if len(known.List()) == 0 {
			return true, ErrGone
		}
		return false, nil
	}
	event, err := watchtools.UntilWithSync(ctx, source, &v1alpha1.Store{}, exists, isReady)
	if err != nil {
		return nil, fmt.Errorf("waiting for store %s/%s: %w", namespace, name, err)
	}
	return event.Object.(*v1alpha1.Store), nil
}

// isReady judges a state of the store: what is said of an earlier spec is worth nothing.
func isReady(event watch.Event) (bool, error) {
	store, ok := event.Object.(*v1alpha1.Store)
	if !ok || event.Type == watch.Deleted {
		return false, ErrGone
	}
	if store.Status.ObservedGeneration != store.Generation {
		return false, nil
	}
	if stalled := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionStalled); stalled != nil {
		return false, fmt.Errorf("%s: %s", stalled.Reason, stalled.Message)
	}
	return meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionReady), nil
}
