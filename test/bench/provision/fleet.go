package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
)

// creators is how many clients create stores at once.
const creators = 8

// create creates so many stores.
func create(ctx context.Context, stores typed.StoreInterface, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range count {
		group.Go(func() error {
			name := fmt.Sprintf("shop-%d", i)
			_, err := stores.Create(ctx, &v1alpha1.Store{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec:       v1alpha1.StoreSpec{Engine: engineName, Host: name + ".example.com", DisplayName: "Shop " + name},
			}, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("creating store %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// allReady returns when so many stores have their release and say that they are ready.
func allReady(ctx context.Context, stores typed.StoreInterface, count int, progress io.Writer) error {
	began, ready := time.Now(), sets.New[string]()
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return stores.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return stores.Watch(ctx, o)
		},
	}, stores)
	_, err := watchtools.UntilWithSync(ctx, source, &v1alpha1.Store{}, nil, func(event watch.Event) (bool, error) {
		store, ok := event.Object.(*v1alpha1.Store)
		if !ok {
			return false, nil
		}
		conditions := store.Status.Conditions
		if !ready.Has(store.Name) && meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) &&
			meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReleaseInstalled) {
			ready.Insert(store.Name)
			if ready.Len()%max(count/10, 1) == 0 {
				fmt.Fprintf(progress, "%d of %d stores are ready after %.0f s\n", ready.Len(), count, time.Since(began).Seconds())
			}
		}
		return ready.Len() == count, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for stores, of which %d are ready: %w", ready.Len(), err)
	}
	return nil
}
