package postgres

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// sendChange delivers what a change means to the client, which may be nothing.
func (w *watcher) sendChange(c *change) error {
	if w.concerns(c.key) {
		event, err := w.event(c)
		if err != nil {
			return err
		}
		if event != nil {
			if err := w.send(*event); err != nil {
				return err
			}
		}
	}
	w.cursor = c.rev
	return nil
}

// event translates a change. Through a selector an update may look like a creation or
// a deletion, which takes the previous value to tell.
func (w *watcher) event(c *change) (*watch.Event, error) {
	var current, previous runtime.Object
	var err error
	if c.kind != deleted {
		if current, err = w.storage.decode(w.ctx, c.key, c.value, c.rev); err != nil {
			return nil, err
		}
	}
	if c.kind == deleted || c.kind == updated && !w.predicate.Empty() {
		if previous, err = w.previous(c); err != nil {
			return nil, err
		}
	}
	is := current != nil && w.matches(current)
	was := previous != nil && w.matches(previous)
	if c.kind == updated && w.predicate.Empty() {
		was = true
	}
	event := &watch.Event{}
	switch {
	case is && was:
		event.Type, event.Object = watch.Modified, current
	case is:
		event.Type, event.Object = watch.Added, current
	case was:
		event.Type, event.Object = watch.Deleted, previous
	default:
		return nil, nil
	}
	if w.timestamps {
		event.Object = &timedObject{Object: event.Object, at: time.Now()}
	}
	return event, nil
}

// previous returns what a change replaced, with the revision of the change.
func (w *watcher) previous(c *change) (runtime.Object, error) {
	sealed, err := w.storage.db.previousValue(w.ctx, c)
	if err != nil {
		return nil, translate(w.ctx, "reading the previous value", c.key, err)
	}
	obj, err := w.storage.decode(w.ctx, c.key, sealed, c.rev)
	var corrupt *corruptError
	if c.kind == deleted && errors.As(err, &corrupt) {
		return nil, corruptRead(corrupt)
	}
	return obj, err
}

func (w *watcher) matches(obj runtime.Object) bool {
	if w.predicate.Empty() {
		return true
	}
	matches, err := w.predicate.Matches(obj)
	return err == nil && matches
}

// answerProgress reports the revision to a client that asked for it, once the watch
// has got as far as the client wants.
func (w *watcher) answerProgress(hub view) error {
	if hub.asked == w.reported || hub.at.rev < hub.reach {
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
