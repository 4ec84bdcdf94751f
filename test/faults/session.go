package faults

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// watchPatience is how long a watch may take to report what is known to have happened,
// faults included.
const watchPatience = 45 * time.Second

// seen is an event as a session keeps it.
type seen struct {
	rev  int64
	hash uint64
}

// session is one list and the watch that continues it, as of every informer.
type session struct {
	replica     *replica
	namespace   string
	chosen      bool // with a selector
	began       int64
	listed      int64 // when the list had returned
	start       int64 // revision of the list
	initial     uint64
	events      []seen
	end         int64 // everything up to this revision was delivered
	expired     bool
	expiredText string
}

func (s *session) predicate() storage.SelectionPredicate {
	if s.chosen {
		return chosen
	}
	return storage.Everything
}

// runSession makes one session. It returns nil if the list failed.
func (e *episode) runSession(ctx context.Context, r *replica, rng *rand.Rand) *session {
	s := &session{replica: r, namespace: e.namespace(), chosen: rng.IntN(4) == 0, began: e.now()}
	key := prefix + s.namespace + "/"
	items, rev, err := list(ctx, r, key, s.predicate(), 0)
	if err != nil {
		return nil
	}
	s.listed, s.start, s.end = e.now(), rev, rev
	state := map[string]item{}
	for _, i := range items {
		state[i.Key] = i
		s.initial ^= i.hash()
	}
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	w, err := r.Watch(ctx, key, storage.ListOptions{
		ResourceVersion: strconv.FormatInt(rev, 10), Recursive: true, Predicate: s.predicate(), ProgressNotify: true,
	})
	if err != nil {
		return s
	}
	defer w.Stop()
	e.receive(ctx, s, w, state, rng)
	if !s.expired && rng.IntN(4) == 0 {
		e.compareAtEnd(ctx, s, key, state)
	}
	return s
}

// receive follows the watch for a while, and then until it has reported everything that
// had happened by then.
func (e *episode) receive(ctx context.Context, s *session, w watch.Interface, state map[string]item, rng *rand.Rand) {
	wish := s.end + int64(rng.IntN(60))
	enough := time.NewTimer(time.Duration(rng.IntN(30)) * time.Millisecond)
	defer enough.Stop()
	target := int64(0)
	asked := make(chan int64, 1)
	for target == 0 || s.end < target {
		select {
		case <-enough.C:
			go func() {
				rev, err := s.replica.GetCurrentResourceVersion(ctx)
				if err != nil {
					rev = 1 // enough, then
				}
				asked <- int64(rev)
			}()
		case target = <-asked:
		case ev, open := <-w.ResultChan():
			if !open {
				if target > 1 && ctx.Err() != nil && e.ctx.Err() == nil {
					e.found.Add("watch stood still", "replica %d at revision %d, want %d", s.replica.number, s.end, target)
				}
				return
			}
			if !e.accept(s, ev, state) {
				return
			}
			if s.end >= wish && target == 0 {
				enough.Reset(0)
				wish = never
			}
		}
	}
}

// accept notes an event and applies it to the state. It reports whether the session
// goes on.
func (e *episode) accept(s *session, ev watch.Event, state map[string]item) bool {
	if status, ok := ev.Object.(*metav1.Status); ok {
		err := &apierrors.StatusError{ErrStatus: *status}
		if s.expired = apierrors.IsResourceExpired(err); s.expired {
			s.expiredText = err.Error()
			e.checkExpired(s)
		}
		return false
	}
	pod := ev.Object.(*example.Pod)
	i, whole := itemOf(pod)
	if ev.Type == watch.Bookmark {
		s.end = max(s.end, i.Rev)
		return true
	}
	if !whole {
		e.found.Add("broken object", "%v", pod)
	}
	before, had := state[i.Key]
	switch {
	case i.Rev <= s.end:
		e.found.Add("event out of order", "replica %d: revision %d after %d", s.replica.number, i.Rev, s.end)
	case had == (ev.Type == watch.Added):
		e.found.Add("event does not fit", "replica %d: %s of %s at %d, in the state %v", s.replica.number, ev.Type, i.Key, i.Rev, had)
	case ev.Type == watch.Deleted && i.Value != before.Value:
		e.found.Add("event does not fit", "replica %d: %s at %d was deleted as %q, had %q", s.replica.number, i.Key, i.Rev, i.Value, before.Value)
	}
	if state[i.Key] = i; ev.Type == watch.Deleted {
		delete(state, i.Key)
	}
	s.end = i.Rev
	s.events = append(s.events, seen{i.Rev, event{kind: ev.Type, item: i}.hash()})
	return true
}

// checkExpired allows a watch to be told to start over if a failover or compaction has
// passed it.
func (e *episode) checkExpired(s *session) {
	if s.end >= e.compacted.Load() && e.failovers.Load() == 0 {
		e.found.Add("expired without cause", "replica %d at revision %d: %s", s.replica.number, s.end, s.expiredText)
	}
}

// compareAtEnd compares what the events led to with a list at the same revision.
func (e *episode) compareAtEnd(ctx context.Context, s *session, key string, state map[string]item) {
	items, rev, err := list(ctx, s.replica, key, s.predicate(), s.end)
	if err != nil {
		return // compacted, or a fault
	}
	var listed, folded uint64
	for _, i := range items {
		listed ^= i.hash()
	}
	for _, i := range state {
		folded ^= i.hash()
	}
	if rev != s.end || listed != folded {
		e.found.Add("list differs from watch", "replica %d from %d to %d: %d objects listed at %d, %d watched",
			s.replica.number, s.start, s.end, len(items), rev, len(state))
	}
}
