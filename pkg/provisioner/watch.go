package provisioner

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// watchedKind is a kind in stores' namespaces whose changes wake the store.
type watchedKind struct {
	schema.GroupVersionResource
	// kind is its name in manifests.
	kind string
	// confidential says that such objects may hold what is not for everybody, so that
	// they are watched in one namespace at a time, with the rights that the controller
	// has there. One watch of the whole cluster serves for all others.
	confidential bool
	// always says that each store has some, whatever its chart holds.
	always bool
	// rests says that nobody but the controller and Helm has a reason to change such
	// an object while a shop runs: what happens to one may be drift, and wakes a
	// comparison.
	rests bool
	// runs says that the object is a part of the shop at work, whose changes tell how
	// that goes.
	runs bool
	// ours says that only what is managed matters.
	ours bool
	// names are the only objects that matter, if it has any.
	names []string
	// counts says that the object is rewritten as what it counts changes: only its end
	// is told.
	counts bool
	// counted is the beginning of the names of objects of which the same is true.
	counted string
}

var watched = []watchedKind{
	{GroupVersionResource: appsv1.SchemeGroupVersion.WithResource("deployments"), kind: "Deployment", confidential: true, runs: true},
	{GroupVersionResource: appsv1.SchemeGroupVersion.WithResource("statefulsets"), kind: "StatefulSet", confidential: true, runs: true},
	{GroupVersionResource: batchv1.SchemeGroupVersion.WithResource("jobs"), kind: "Job", confidential: true, runs: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("pods"), kind: "Pod", confidential: true, runs: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), kind: "PersistentVolumeClaim", runs: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("secrets"), kind: "Secret", confidential: true, always: true, counted: "sh.helm.release."},
	{GroupVersionResource: networkingv1.SchemeGroupVersion.WithResource("ingresses"), kind: "Ingress", ours: true, rests: true},
	{GroupVersionResource: networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), kind: "NetworkPolicy", ours: true, rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("services"), kind: "Service", ours: true, rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("configmaps"), kind: "ConfigMap", confidential: true, ours: true, rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("serviceaccounts"), kind: "ServiceAccount", ours: true, rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("limitranges"), kind: "LimitRange", ours: true, rests: true},
	{GroupVersionResource: rbacv1.SchemeGroupVersion.WithResource("rolebindings"), kind: "RoleBinding", names: []string{roleBindingName, readerBindingName}, rests: true},
	{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("resourcequotas"), kind: "ResourceQuota", ours: true, rests: true, counts: true},
	{GroupVersionResource: batchv1.SchemeGroupVersion.WithResource("cronjobs"), kind: "CronJob", confidential: true, ours: true, rests: true, counts: true},
}

// managed selects what Helm and the controller have made. What a cluster puts into
// each namespace, such as its certificate, is nothing to be kept or woken by.
const managed = "app.kubernetes.io/managed-by in (Helm, " + FieldManager + ")"

// watches wakes stores when something in their namespaces changes. They carry metadata
// only, of most kinds only what is managed, and keep no object: the steps read what
// they need at the moment they need it, so that nothing is ever decided from a cache
// that has not yet seen the controller's own writes. What is kept is the version of
// each object, by which the controller's own writes are told from those of others.
//
// What may be confidential is watched in one namespace at a time, and only kinds that
// the store has.
type watches struct {
	client  metadata.Interface
	streams rest.Interface
	wake    func(namespace string)

	mu         sync.Mutex
	ctx        context.Context
	unsynced   int   // watches of the whole cluster that have not begun
	changes    int64 // so far, in all namespaces
	namespaces map[string]*watchedNamespace
	running    sync.WaitGroup
}

// watchedNamespace is the namespace of a store that this replica works on.
type watchedNamespace struct {
	// rest is the last time that something that rests may have changed unseen, run the
	// last change of what runs, and other of anything else.
	rest, run, other int64
	// followed are the watches of this namespace alone, by kind.
	followed map[string]context.CancelFunc
	known    map[objectRef]*known
}

// newWatchedNamespace is a namespace that nobody has watched until the change.
func newWatchedNamespace(change int64) *watchedNamespace {
	return &watchedNamespace{
		rest: change, other: change,
		followed: map[string]context.CancelFunc{}, known: map[objectRef]*known{},
	}
}

func newWatches(client metadata.Interface, streams rest.Interface, wake func(namespace string)) *watches {
	w := &watches{client: client, streams: streams, wake: wake, namespaces: map[string]*watchedNamespace{}}
	for i := range watched {
		w.unsynced += len(watched[i].selectors())
	}
	return w
}

// run watches until ctx is done, and returns when all watches have ended.
func (w *watches) run(ctx context.Context) {
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	for i := range watched {
		for _, name := range watched[i].selectors() {
			w.running.Go(func() { w.watch(ctx, &changes{watches: w, kind: &watched[i], name: name}) })
		}
	}
	<-ctx.Done()
	// A start that was under way has counted itself before the lock is free.
	w.mu.Lock()
	w.mu.Unlock() //nolint:staticcheck // The lock is taken to wait, not to hold.
	w.running.Wait()
}

// selectors are the names of objects that are watched in the whole cluster, an empty
// one for all of the kind.
func (k *watchedKind) selectors() []string {
	switch {
	case k.confidential:
		return nil
	case k.names != nil:
		return k.names
	}
	return []string{""}
}

// hasSynced is true once all watches of the whole cluster have begun.
func (w *watches) hasSynced() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsynced == 0
}

// start has changes in namespace wake its store, until stop.
func (w *watches) start(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.namespaces[namespace] != nil || w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	w.changes++
	w.namespaces[namespace] = newWatchedNamespace(w.changes)
}

// stop ends what start has begun.
func (w *watches) stop(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		for _, stop := range n.followed {
			stop()
		}
		delete(w.namespaces, namespace)
	}
}

// follow watches those of the kinds in the namespace that are not watched in the whole
// cluster, and the kinds that each store has.
func (w *watches) follow(namespace string, kinds map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.namespaces[namespace]
	if n == nil || w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	for i := range watched {
		kind := &watched[i]
		has := kind.always || kinds[kind.kind]
		if !kind.confidential || !has || n.followed[kind.kind] != nil {
			continue
		}
		ctx, stop := context.WithCancel(w.ctx)
		n.followed[kind.kind] = stop
		s := &stream{client: w.streams, into: &changes{watches: w, kind: kind, namespace: namespace}}
		w.running.Add(1)
		go s.run(ctx, w.running.Done)
	}
}

// unfollow ends the watch of a kind that follow has begun.
func (w *watches) unfollow(namespace, kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil && n.followed[kind] != nil {
		n.followed[kind]()
		delete(n.followed, kind)
		for ref := range n.known {
			if ref.kind == kind {
				delete(n.known, ref)
			}
		}
	}
}

// watch tells into of every change in the whole cluster until ctx is done.
func (w *watches) watch(ctx context.Context, into *changes) {
	resource := w.client.Resource(into.kind.GroupVersionResource)
	selected := func(o metav1.ListOptions) metav1.ListOptions {
		if into.kind.ours {
			o.LabelSelector = managed
		}
		if into.name != "" {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", into.name).String()
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
	}, w.client), &metav1.PartialObjectMetadata{}, into, cache.ReflectorOptions{
		TypeDescription: into.kind.String(),
	})
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Cap: 30 * time.Second, Steps: 10, Factor: 2, Jitter: 1}
	_ = backoff.DelayWithReset(clock.RealClock{}, 2*time.Minute).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if err := reflector.ListAndWatchWithContext(ctx); err != nil {
			cache.DefaultWatchErrorHandler(ctx, reflector, err)
		}
		return false, nil
	})
}

// expectedError leaves out what is normal: a RoleBinding that has just been made is
// not seen at once, and one in a namespace that goes is gone first.
func expectedError(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }
