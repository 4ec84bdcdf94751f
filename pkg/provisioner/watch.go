package provisioner

import (
	"context"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// watched are the kinds in a store's namespace whose changes wake its
// reconciliation.
var watched = []schema.GroupVersionResource{
	appsv1.SchemeGroupVersion.WithResource("deployments"),
	appsv1.SchemeGroupVersion.WithResource("statefulsets"),
	batchv1.SchemeGroupVersion.WithResource("jobs"),
	corev1.SchemeGroupVersion.WithResource("pods"),
	corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"),
	networkingv1.SchemeGroupVersion.WithResource("ingresses"),
	corev1.SchemeGroupVersion.WithResource("services"),
	networkingv1.SchemeGroupVersion.WithResource("networkpolicies"),
}

// quiet are those of watched that nobody but Helm has a reason to change while a
// shop runs: what happens to one may be drift, and wakes a comparison.
var quiet = []string{"ingresses", "services", "networkpolicies"}

// watches wakes stores when something in their namespaces changes. It is per
// namespace, because the controller may watch nothing across the cluster that
// stores are made of. The watches carry metadata only and keep almost nothing:
// the steps read what they need at the moment they need it, so that nothing is
// ever decided from a cache that has not yet seen the controller's own writes.
type watches struct {
	client metadata.Interface
	wake   func(namespace string)

	mu      sync.Mutex
	ctx     context.Context
	stopped map[string]context.CancelFunc
	changes int64            // of quiet kinds so far, in all namespaces
	last    map[string]int64 // the last of them in each watched namespace
	running sync.WaitGroup
}

func newWatches(client metadata.Interface, wake func(namespace string)) *watches {
	return &watches{client: client, wake: wake, stopped: map[string]context.CancelFunc{}, last: map[string]int64{}}
}

// run lets watches start, and returns when ctx is done and all have ended.
func (w *watches) run(ctx context.Context) {
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	<-ctx.Done()
	// A start that was under way has counted itself before the lock is free.
	w.mu.Lock()
	w.mu.Unlock() //nolint:staticcheck // The lock is taken to wait, not to hold.
	w.running.Wait()
}

// start watches namespace until stop or the end of run. It does nothing if the
// namespace is watched already.
func (w *watches) start(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.stopped[namespace]; ok || w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.stopped[namespace] = cancel
	// Nobody knows what has happened while nothing was watched.
	w.changes++
	w.last[namespace] = w.changes
	var synced []cache.InformerSynced
	for _, resource := range watched {
		changed := w.wake
		if slices.Contains(quiet, resource.Resource) {
			changed = w.changed
		}
		informer := metadatainformer.NewFilteredMetadataInformer(w.client, resource, namespace, 0, cache.Indexers{}, nil).Informer()
		_ = informer.SetTransform(stripMetadata)
		_ = informer.SetWatchErrorHandlerWithContext(quietWatchErrors)
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(_ any, isInInitialList bool) {
				if !isInInitialList {
					changed(namespace)
				}
			},
			UpdateFunc: func(_, _ any) { changed(namespace) },
			DeleteFunc: func(_ any) { changed(namespace) },
		})
		synced = append(synced, informer.HasSynced)
		w.running.Go(func() { informer.RunWithContext(ctx) })
	}
	// What happened before the watches stood is looked for once they do.
	w.running.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), synced...) {
			w.wake(namespace)
		}
	})
}

// stop ends the watches of namespace.
func (w *watches) stop(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cancel, ok := w.stopped[namespace]; ok {
		cancel()
		delete(w.stopped, namespace)
		delete(w.last, namespace)
	}
}

// changed notes that something of a quiet kind has changed, and wakes the store.
func (w *watches) changed(namespace string) {
	w.mu.Lock()
	if _, ok := w.stopped[namespace]; ok {
		w.changes++
		w.last[namespace] = w.changes
	}
	w.mu.Unlock()
	w.wake(namespace)
}

// lastChange is another number after each change of a quiet kind that was seen in
// the namespace, and after each start of its watches.
func (w *watches) lastChange(namespace string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[namespace]
}

// stripMetadata keeps of an object only what tells it from others.
func stripMetadata(obj any) (any, error) {
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: m.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
	}}, nil
}

// quietWatchErrors leaves out what is normal: a RoleBinding that has just been
// made is not seen at once, and one in a namespace that goes is gone first.
func quietWatchErrors(ctx context.Context, r *cache.Reflector, err error) {
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return
	}
	cache.DefaultWatchErrorHandler(ctx, r, err)
}
