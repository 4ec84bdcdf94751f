package postgres

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// sendChanges delivers in order what changes mean to the client, which may be nothing.
// Decoding takes most of the time: with the feature ConcurrentWatchObjectDecode several
// events are prepared at a time.
func (w *watcher) sendChanges(changes []*change) error {
	atATime := 1
	if utilfeature.DefaultFeatureGate.Enabled(features.ConcurrentWatchObjectDecode) {
		atATime = concurrentEvents
	}
	for some := range slices.Chunk(changes, atATime) {
		events, errs := w.prepare(some)
		for i, c := range some {
			if errs[i] != nil {
				return errs[i]
			}
			if events[i] != nil {
				if err := w.send(*events[i]); err != nil {
					return err
				}
				w.told = c.rev
			}
			w.cursor = c.rev
		}
	}
	return nil
}

// prepare returns the event of each change, nil if it is nothing to the client.
func (w *watcher) prepare(changes []*change) ([]*watch.Event, []error) {
	events, errs := make([]*watch.Event, len(changes)), make([]error, len(changes))
	var all sync.WaitGroup
	for i, c := range changes {
		switch {
		case !w.concerns(c.key):
		case len(changes) == 1, c.current.get() != nil: // is decoded already
			events[i], errs[i] = w.event(c)
		default:
			all.Go(func() { events[i], errs[i] = w.event(c) })
		}
	}
	all.Wait()
	return events, errs
}

// event translates a change. Through a selector an update may look like a creation or
// a deletion, which takes the previous value to tell.
func (w *watcher) event(c *change) (*watch.Event, error) {
	current, is, err := w.current(c)
	if err != nil {
		return nil, err
	}
	previous, was, err := w.previous(c)
	if err != nil {
		return nil, err
	}
	var event watch.Event
	shown := current
	switch {
	case is && was:
		event.Type = watch.Modified
	case is:
		event.Type = watch.Added
	case was:
		event.Type, shown = watch.Deleted, previous
	default:
		return nil, nil
	}
	if event.Object, err = shown.at(c.rev); err != nil {
		return nil, err
	}
	if w.timestamps {
		event.Object = &timedObject{Object: event.Object, at: time.Now()}
	}
	return &event, nil
}

// current returns what a change left and whether the client wants to see it.
func (w *watcher) current(c *change) (*object, bool, error) {
	if c.kind == deleted {
		return nil, false, nil
	}
	return w.look(c, c.value, &c.current)
}

// previous returns what a change replaced and whether the client has seen it. Without
// a selector he has seen every object, so that of an update is not needed.
func (w *watcher) previous(c *change) (*object, bool, error) {
	switch {
	case c.kind == created:
		return nil, false, nil
	case c.kind == updated && w.predicate.Empty():
		return nil, true, nil
	}
	sealed, err := w.storage.db.previousValue(w.ctx, c)
	if err != nil {
		return nil, false, translate(w.ctx, "reading the previous value", c.key, err)
	}
	o, was, err := w.look(c, sealed, &c.before)
	var corrupt *corruptError
	if c.kind == deleted && errors.As(err, &corrupt) {
		return nil, false, corruptRead(corrupt)
	}
	return o, was, err
}

// look returns the object of a stored value of c and whether it matches the selector.
// The value is opened for each watch, so that none sees what its storage cannot read.
func (w *watcher) look(c *change, sealed []byte, m *memo) (*object, bool, error) {
	data, _, err := w.storage.open(w.ctx, c.key, sealed)
	if err != nil {
		return nil, false, err
	}
	o := m.of(w.storage, data)
	decoded, err := o.get(c.rev)
	if err != nil {
		return nil, false, err
	}
	return o, w.matches(decoded), nil
}

func (w *watcher) matches(obj runtime.Object) bool {
	if w.predicate.Empty() {
		return true
	}
	matches, err := w.predicate.Matches(obj)
	return err == nil && matches
}

// answerProgress reports the revision to a client that asked for it, or that somebody
// waits for, once the watch has got as far as that.
func (w *watcher) answerProgress(hub view) error {
	waited := w.told < hub.reach && hub.reach <= hub.at.rev
	if hub.asked == w.reported && !waited {
		return nil
	}
	w.reported = hub.asked
	return w.sendProgress(hub.at.rev)
}

// sendProgress tells the client that everything up to rev has been delivered.
func (w *watcher) sendProgress(rev int64) error {
	if !w.progress || rev < w.cursor {
		return nil
	}
	obj, err := w.newBookmark(rev)
	if err != nil {
		return err
	}
	w.told = rev
	return w.send(watch.Event{Type: watch.Bookmark, Object: obj})
}

func (w *watcher) newBookmark(rev int64) (runtime.Object, error) {
	obj := w.storage.resource.NewFunc()
	if err := w.storage.setVersion(obj, rev); err != nil {
		return nil, fmt.Errorf("making bookmark: %w", err)
	}
	return obj, nil
}

// timedObject carries the time at which an event was decoded to the watch cache, which
// measures its own delay with it and unwraps the object.
type timedObject struct {
	runtime.Object
	at time.Time
}

var _ storage.WatchEventWithRecordTime = (*timedObject)(nil)

// RecordTime implements storage.WatchEventWithRecordTime.
func (o *timedObject) RecordTime() time.Time { return o.at }

// Unwrap implements storage.WatchEventWithRecordTime.
func (o *timedObject) Unwrap() runtime.Object { return o.Object }

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (o *timedObject) GetObjectMeta() metav1.Object {
	m, err := meta.Accessor(o.Object)
	if err != nil {
		return nil
	}
	return m
}

// DeepCopyObject implements runtime.Object.
func (o *timedObject) DeepCopyObject() runtime.Object {
	return &timedObject{Object: o.Object.DeepCopyObject(), at: o.at}
}
