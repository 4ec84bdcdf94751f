package main

import (
	"cmp"
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

// creators is how many clients create objects at once.
const creators = 8

// create creates so many stores.
func create(ctx context.Context, stores typed.StoreInterface, count int) error {
	return each(ctx, count, func(ctx context.Context, name string) error {
		_, err := stores.Create(ctx, &v1alpha1.Store{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.StoreSpec{Engine: engineName, Host: name + ".example.com", DisplayName: "Shop " + name},
		}, metav1.CreateOptions{})
		return err
	})
}

// each does something for so many names, several at once.
func each(ctx context.Context, count int, do func(ctx context.Context, name string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range count {
		group.Go(func() error {
			name := fmt.Sprintf("shop-%d", i)
			if err := do(ctx, name); err != nil {
				return fmt.Errorf("creating %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// allReady returns when so many stores have their release and say that they are ready,
// with how long half of them took.
func allReady(ctx context.Context, stores typed.StoreInterface, count int, progress io.Writer) (half time.Duration, err error) {
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return stores.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return stores.Watch(ctx, o)
		},
	}, stores)
	return untilAll(ctx, source, &v1alpha1.Store{}, count, "stores", progress, func(obj runtime.Object) (string, bool) {
		store, ok := obj.(*v1alpha1.Store)
		if !ok {
			return "", false
		}
		conditions := store.Status.Conditions
		return store.Name, meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) &&
			meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReleaseInstalled)
	})
}

// untilAll returns when so many objects are ready, as isReady says with their names,
// with how long half of them took.
func untilAll(
	ctx context.Context, source cache.ListerWatcher, kind runtime.Object, count int, what string, progress io.Writer,
	isReady func(runtime.Object) (string, bool),
) (half time.Duration, err error) {
	began, ready := time.Now(), sets.New[string]()
	_, err = watchtools.UntilWithSync(ctx, source, kind, nil, func(event watch.Event) (bool, error) {
		if name, ok := isReady(event.Object); ok && !ready.Has(name) {
			ready.Insert(name)
			if ready.Len() == (count+1)/2 {
				half = time.Since(began)
			}
			if ready.Len()%max(count/10, 1) == 0 {
				fmt.Fprintf(progress, "%d of %d %s are ready after %.0f s\n", ready.Len(), count, what, time.Since(began).Seconds())
			}
		}
		return ready.Len() == count, nil
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for %s, of which %d are ready: %w", what, ready.Len(), cmp.Or(context.Cause(ctx), err))
	}
	return half, nil
}
