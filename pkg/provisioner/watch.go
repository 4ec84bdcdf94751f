package provisioner

import (
	"context"
	"maps"
	"slices"
	"strings"
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
	"k8s.io/apimachinery/pkg/util/resourceversion"
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

type objectRef struct{ kind, name string }

// known is what is known of an object.
type known struct {
	version string // the newest
	gone    bool
	// change is the last change of an object that rests by somebody else, or 0.
	change int64
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

// changes is what a watch tells of changes; it keeps no object.
type changes struct {
	watches *watches
	kind    *watchedKind
	// namespace and name are what is watched; empty for all.
	namespace, name string
	begun           bool
}

// Add implements cache.ReflectorStore.
func (c *changes) Add(o any) error { return c.tell(o, false) }

// Update implements cache.ReflectorStore.
func (c *changes) Update(o any) error { return c.tell(o, false) }

// Delete implements cache.ReflectorStore.
func (c *changes) Delete(o any) error { return c.tell(o, true) }

func (c *changes) tell(o any, gone bool) error {
	object := o.(*metav1.PartialObjectMetadata)
	c.watches.mu.Lock()
	news := c.watches.note(c.kind, object.Namespace, object.Name, object.ResourceVersion, gone)
	c.watches.mu.Unlock()
	if news {
		c.watches.wake(object.Namespace)
	}
	return nil
}

// Replace implements cache.ReflectorStore. What has changed before is told by the
// versions.
func (c *changes) Replace(list []any, _ string) error {
	for _, namespace := range c.watches.replace(c, list) {
		c.watches.wake(namespace)
	}
	c.begun = true
	return nil
}

// Resync implements cache.ReflectorStore.
func (c *changes) Resync() error { return nil }

// replace notes all objects that there are, and returns the namespaces with news.
func (w *watches) replace(c *changes, list []any) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.namespace == "" && !c.begun {
		w.unsynced--
	}
	woken, there := map[string]bool{}, map[string]map[string]bool{}
	// What happened to a kind of which nothing is known, nobody can tell.
	if n := w.namespaces[c.namespace]; n != nil && !c.begun && !n.knows(c.kind.kind) {
		w.changes++
		*n.last(c.kind) = w.changes
		woken[c.namespace] = true
	}
	for _, o := range list {
		object := o.(*metav1.PartialObjectMetadata)
		if there[object.Namespace] == nil {
			there[object.Namespace] = map[string]bool{}
		}
		there[object.Namespace][object.Name] = true
		if w.note(c.kind, object.Namespace, object.Name, object.ResourceVersion, false) {
			woken[object.Namespace] = true
		}
	}
	for namespace, n := range w.namespaces {
		if c.namespace != "" && c.namespace != namespace {
			continue
		}
		for ref, k := range n.known {
			if ref.kind == c.kind.kind && (c.name == "" || c.name == ref.name) && !k.gone && !there[namespace][ref.name] &&
				w.note(c.kind, namespace, ref.name, "", true) {
				woken[namespace] = true
			}
		}
	}
	return slices.Collect(maps.Keys(woken))
}

// last is where the last change of the kind is noted.
func (n *watchedNamespace) last(kind *watchedKind) *int64 {
	switch {
	case kind.rests:
		return &n.rest
	case kind.runs:
		return &n.run
	}
	return &n.other
}

func (n *watchedNamespace) knows(kind string) bool {
	for ref := range n.known {
		if ref.kind == kind {
			return true
		}
	}
	return false
}

// note notes that a version of an object was seen, or that the object is gone, and
// says whether that is news. The lock is held.
func (w *watches) note(kind *watchedKind, namespace, name, version string, gone bool) bool {
	n, ref := w.namespaces[namespace], objectRef{kind.kind, name}
	if n == nil {
		return false
	}
	k := n.known[ref]
	switch {
	case k == nil:
		k = &known{}
		n.known[ref] = k
	case gone && order(version, k.version) < 0, !gone && order(version, k.version) <= 0:
		return false
	}
	k.version, k.gone = version, gone
	if (kind.counts || kind.counted != "" && strings.HasPrefix(name, kind.counted)) && !gone {
		return false
	}
	w.changes++
	if kind.rests {
		k.change = w.changes
		return true
	}
	*n.last(kind) = w.changes
	if gone {
		delete(n.known, ref)
	}
	return true
}

// seen notes that the store's worker has made the version of the object, or has read
// it: that a watch brings it is no news.
func (w *watches) seen(namespace, kind, name, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ref := w.namespaces[namespace], objectRef{kind, name}
	if n == nil || version == "" {
		return
	}
	if k := n.known[ref]; k == nil || order(version, k.version) >= 0 {
		n.known[ref] = &known{version: version}
	}
}

// order is below zero if version a comes before b, and above if it comes after or that
// cannot be told.
func order(a, b string) int {
	if order, err := resourceversion.CompareResourceVersion(a, b); err == nil {
		return order
	}
	return 1
}

// changed notes that something has changed that concerns the namespace, and wakes the
// store.
func (w *watches) changed(namespace string) {
	w.mu.Lock()
	if n := w.namespaces[namespace]; n != nil {
		w.changes++
		n.other = w.changes
	}
	w.mu.Unlock()
	w.wake(namespace)
}

// lastChange is the number of the last change of what should rest in the namespace
// that was seen and was not made here.
func (w *watches) lastChange(namespace string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		return n.lastRest()
	}
	return 0
}

func (n *watchedNamespace) lastRest() int64 {
	last := n.rest
	for _, k := range n.known {
		last = max(last, k.change)
	}
	return last
}

// lastOfAll is another number after each change of anything that was seen, or 0 if
// the namespace is not watched.
func (w *watches) lastOfAll(namespace string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		return max(n.run, n.other, n.lastRest())
	}
	return 0
}

// lastButRuns is like lastOfAll, but for what runs.
func (w *watches) lastButRuns(namespace string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.namespaces[namespace]; n != nil {
		return max(n.other, n.lastRest())
	}
	return 0
}

// expectedError leaves out what is normal: a RoleBinding that has just been made is
// not seen at once, and one in a namespace that goes is gone first.
func expectedError(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }
