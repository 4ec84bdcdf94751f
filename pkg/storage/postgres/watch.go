package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
)

const (
	// watchBuffer is how many events may wait for the client.
	watchBuffer = 100
	// catchUpLimit is how many changes a watch reads from the log at a time.
	catchUpLimit = 500
	// catchUpRevisions is how many revisions, of whatever keys, are searched for them.
	catchUpRevisions = 20000
	// concurrentEvents is how many events one watch prepares at a time.
	concurrentEvents = 10
)

// errBrokenOff ends watches that can no longer promise to deliver every change.
var errBrokenOff = apierrors.NewResourceExpired("The database restarted its history, start a new list.")

// watcher delivers the changes of one key or prefix to one client.
type watcher struct {
	storage *Storage
	ctx     context.Context
	cancel  context.CancelFunc
	events  chan watch.Event

	key        string
	recursive  bool
	keys       keyRange
	predicate  storage.SelectionPredicate
	timestamps bool

	cursor   int64 // everything up to this revision has been delivered
	breaks   int   // of the hub, when the watch began
	initial  bool  // begin with the current state
	bookmark bool  // mark the end of the initial state
	progress bool  // report revisions when idle
	reported int   // the last request for progress that was answered
	told     int64 // the revision of the last event, from which the client has its own
}

// Watch implements storage.Interface.
func (s *Storage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	defer observe("watch", time.Now())
	key, err := s.key(key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	version, err := s.versioner.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	if version > math.MaxInt64 {
		return nil, impossibleRevision(opts.ResourceVersion)
	}
	w := &watcher{
		storage:    s,
		events:     make(chan watch.Event, watchBuffer),
		key:        key,
		recursive:  opts.Recursive,
		keys:       s.keys(key, opts.Recursive),
		predicate:  opts.Predicate,
		timestamps: opts.RecordTimestamps,
		cursor:     int64(version),
		told:       int64(version),
		progress:   opts.ProgressNotify,
	}
	watchList := utilfeature.DefaultFeatureGate.Enabled(features.WatchList)
	switch {
	case opts.SendInitialEvents == nil || !watchList:
		w.initial = version == 0
	case *opts.SendInitialEvents:
		w.initial = true
		w.bookmark = opts.Predicate.AllowWatchBookmarks
	case version == 0: // from now on
		at, err := s.db.revision(ctx)
		if err != nil {
			return nil, translate(ctx, "starting watch", key, err)
		}
		w.cursor = at.rev
	}
	hub := s.db.hub.after(w.cursor)
	w.breaks, w.reported = hub.breaks, hub.asked
	w.ctx, w.cancel = context.WithCancel(ctx)
	s.db.watchers.Add(1)
	go w.run()
	utilflowcontrol.WatchInitialized(ctx)
	return w, nil
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.cancel() }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

// run delivers until the client stops or something fails, which is the last event.
func (w *watcher) run() {
	defer close(w.events)
	defer w.storage.db.watchers.Add(-1)
	defer w.cancel()
	if err := w.deliver(); err != nil && w.ctx.Err() == nil {
		_ = w.send(watch.Event{Type: watch.Error, Object: watchStatus(err)}) // or the client is gone
	}
}

func watchStatus(err error) *metav1.Status {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	s := status.Status()
	return &s
}

func (w *watcher) deliver() error {
	if w.initial {
		if err := w.sendInitial(); err != nil {
			return err
		}
	} else if w.cursor < w.storage.db.hub.position().compact {
		return apierrors.NewResourceExpired(watchExpired)
	}
	idle := time.NewTicker(w.storage.db.config.ProgressInterval)
	defer idle.Stop()
	for {
		hub := w.storage.db.hub.after(w.cursor)
		switch {
		case hub.closed:
			return nil
		case hub.breaks != w.breaks:
			return errBrokenOff
		case hub.behind:
			if err := w.readLog(hub.at.rev); err != nil {
				return err
			}
			continue
		}
		if err := w.sendChanges(hub.changes); err != nil {
			return err
		}
		if len(hub.changes) > 0 {
			continue
		}
		if err := w.answerProgress(hub); err != nil {
			return err
		}
		select {
		case <-w.ctx.Done():
			return nil
		case <-hub.changed:
		case <-idle.C:
			if err := w.sendProgress(hub.at.rev); err != nil {
				return err
			}
		}
	}
}

// readLog delivers the next part of what has already left the hub, at most up to a
// revision.
func (w *watcher) readLog(upTo int64) error {
	upTo = min(upTo, w.cursor+catchUpRevisions)
	changes, at, err := w.storage.db.changes(w.ctx, w.keys, w.cursor, upTo, catchUpLimit)
	if err != nil {
		return translate(w.ctx, "reading changes", w.key, err)
	}
	if w.cursor < at.compact {
		return apierrors.NewResourceExpired(watchExpired)
	}
	if err := w.sendChanges(changes); err != nil {
		return err
	}
	if len(changes) < catchUpLimit {
		w.cursor = upTo
	}
	return nil
}

// sendInitial delivers the current state as if it was just created.
func (w *watcher) sendInitial() error {
	state, err := w.storage.db.list(w.ctx, w.keys, true, 0, unlimited, 0, nil)
	if err != nil {
		return translate(w.ctx, "reading the initial state", w.key, err)
	}
	if w.cursor > state.at.rev {
		return storage.NewTooLargeResourceVersionError(uint64(w.cursor), uint64(state.at.rev),
			int(wait.Jitter(time.Second, 3).Seconds()))
	}
	for _, r := range state.records {
		obj, err := w.storage.decode(w.ctx, r.key, r.value, r.rev)
		if err != nil {
			return err
		}
		r.value = nil // a slow client need not hold all of it
		if !w.matches(obj) {
			continue
		}
		if err := w.send(watch.Event{Type: watch.Added, Object: obj}); err != nil {
			return err
		}
	}
	w.cursor = state.at.rev
	if !w.bookmark {
		return nil
	}
	obj, err := w.newBookmark(w.cursor)
	if err != nil {
		return err
	}
	if err := storage.AnnotateInitialEventsEndBookmark(obj); err != nil {
		return fmt.Errorf("annotating bookmark: %w", err)
	}
	return w.send(watch.Event{Type: watch.Bookmark, Object: obj})
}

// concerns reports whether the watch is about a key.
func (w *watcher) concerns(key string) bool {
	if w.recursive {
		return strings.HasPrefix(key, w.key)
	}
	return key == w.key
}

// send hands an event to the client, however long it takes. It fails only when the
// client has stopped.
func (w *watcher) send(event watch.Event) error {
	select {
	case w.events <- event:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}
