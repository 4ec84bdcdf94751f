package provisioner

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// watchedKind is a kind in a store's namespace whose changes wake its
// reconciliation.
type watchedKind struct {
	schema.GroupVersionResource
	// rests says that nobody but the controller and Helm has a reason to change such
	// an object while a shop runs: what happens to one may be drift, and wakes a
	// comparison.
	rests bool
	// ours says that only what is managed matters.
	ours bool
	// counts says that the object is rewritten as what it counts changes: only its end
	// is told.
	counts bool
}

var watched = []watchedKind{
	{GroupVersionResource: appsv1.SchemeGroupVersion.WithResource("deployments")},
	{GroupVersionResource: appsv1.SchemeGroupVersion.WithResource("statefulsets")},
	{GroupVersionResource: batchv1.SchemeGroupVersion.WithResource("jobs")},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("pods")},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("secrets"), ours: true},
	{GroupVersionResource: networkingv1.SchemeGroupVersion.WithResource("ingresses"), rests: true},
	{GroupVersionResource: networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("services"), rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("configmaps"), rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("serviceaccounts"), rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("limitranges"), rests: true},
	{GroupVersionResource: rbacv1.SchemeGroupVersion.WithResource("rolebindings"), rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("resourcequotas"), rests: true, counts: true},
	{GroupVersionResource: batchv1.SchemeGroupVersion.WithResource("cronjobs"), rests: true, counts: true},
}

// managed selects what Helm and the controller have made. What a cluster puts into
// each namespace, such as its certificate, is nothing to be kept or woken by.
const managed = "app.kubernetes.io/managed-by in (Helm, " + FieldManager + ")"

// watch calls changed for every change of the kind in namespace, and once when it
// begins, until ctx is done. It carries metadata only, of most kinds only what is
// managed, and keeps nothing: an informer of each kind would take several times
// the memory in each store's namespace.
func (k watchedKind) watch(ctx context.Context, client metadata.Interface, namespace string, changed, begun func()) {
	resource := client.Resource(k.GroupVersionResource).Namespace(namespace)
	selected := func(o metav1.ListOptions) metav1.ListOptions {
		if k.rests || k.ours {
			o.LabelSelector = managed
		}
		return o
	}
	reflector := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return resource.List(ctx, selected(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return resource.Watch(ctx, selected(o))
		},
	}, client), &metav1.PartialObjectMetadata{}, &changes{k.counts, changed, begun}, cache.ReflectorOptions{
		TypeDescription: k.String(),
	})
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Cap: 30 * time.Second, Steps: 10, Factor: 2, Jitter: 1}
	_ = backoff.DelayWithReset(clock.RealClock{}, 2*time.Minute).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if err := reflector.ListAndWatchWithContext(ctx); err != nil && !expectedError(err) {
			cache.DefaultWatchErrorHandler(ctx, reflector, err)
		}
		return false, nil
	})
}

// changes is the store of a reflector that tells of changes and keeps no object.
type changes struct {
	// counts says that only the ends of objects are told.
	counts  bool
	changed func()
	// begun is called for the first list; nil once that has come.
	begun func()
}

// Add implements cache.ReflectorStore.
func (c *changes) Add(any) error {
	if !c.counts {
		c.changed()
	}
	return nil
}

// Update implements cache.ReflectorStore.
func (c *changes) Update(o any) error { return c.Add(o) }

// Delete implements cache.ReflectorStore.
func (c *changes) Delete(any) error {
	c.changed()
	return nil
}

// Replace implements cache.ReflectorStore. What was missed before another list than
// the first is not known, and may be anything.
func (c *changes) Replace([]any, string) error {
	if c.begun == nil {
		c.changed()
		return nil
	}
	c.begun()
	c.begun = nil
	return nil
}

// Resync implements cache.ReflectorStore.
func (c *changes) Resync() error { return nil }

// watches wakes stores when something in their namespaces changes. It is per
// namespace, because the controller may watch nothing across the cluster that
// stores are made of. The watches carry metadata only and keep nothing: the steps
// read what they need at the moment they need it, so that nothing is ever decided
// from a cache that has not yet seen the controller's own writes.
type watches struct {
	client metadata.Interface
	wake   func(namespace string)

	mu         sync.Mutex
	ctx        context.Context
	changes    int64 // so far, in all namespaces
	namespaces map[string]*watchedNamespace
	running    sync.WaitGroup
}

// watchedNamespace is a namespace that is watched, and its last changes: of anything,
// and of kinds that rest.
type watchedNamespace struct {
	stop      context.CancelFunc
	any, rest int64
}

func newWatches(client metadata.Interface, wake func(namespace string)) *watches {
	return &watches{client: client, wake: wake, namespaces: map[string]*watchedNamespace{}}
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
	if w.namespaces[namespace] != nil || w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	// Nobody knows what has happened while nothing was watched.
	w.changes++
	w.namespaces[namespace] = &watchedNamespace{stop: cancel, any: w.changes, rest: w.changes}
	// What happened before the watches stood is looked for once they all do.
	var missing atomic.Int32
	missing.Store(int32(len(watched)))
	begun := func() {
		if missing.Add(-1) == 0 {
			w.changed(namespace, false)
		}
	}
	for _, kind := range watched {
		w.running.Go(func() {
			kind.watch(ctx, w.client, namespace, func() { w.changed(namespace, kind.rests) }, begun)
		})
	}
}

// stop ends the watches of namespace.
func (w *watches) stop(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		n.stop()
		delete(w.namespaces, namespace)
	}
}

// changed notes that something of the namespace has changed, perhaps something that
// should rest, and wakes the store.
func (w *watches) changed(namespace string, rests bool) {
	w.mu.Lock()
	if n := w.namespaces[namespace]; n != nil {
		w.changes++
		n.any = w.changes
		if rests {
			n.rest = w.changes
		}
	}
	w.mu.Unlock()
	w.wake(namespace)
}

// lastChange is another number after each change of what should rest that was seen
// in the namespace, and after each start of its watches.
func (w *watches) lastChange(namespace string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		return n.rest
	}
	return 0
}

// lastOfAll is another number after each change of anything that was seen, or 0 if
// the namespace is not watched.
func (w *watches) lastOfAll(namespace string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		return n.any
	}
	return 0
}

// expectedError leaves out what is normal: a RoleBinding that has just been made is
// not seen at once, and one in a namespace that goes is gone first.
func expectedError(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }
