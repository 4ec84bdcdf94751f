package provisioner

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// objectRef names an object of a namespace.
type objectRef struct{ kind, name string }

// known is what is known of an object.
type known struct {
	version string // the newest
	gone    bool
	// change is the last change of an object that rests by somebody else, or 0.
	change int64
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
