package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// era is the history from one list on. It ends when revisions jump.
type era struct {
	start   int64
	initial []item
	events  []event // events[i] has revision start+1+i
}

func (e *era) end() int64 { return e.start + int64(len(e.events)) }

// at returns the event of a revision, nil if the era has none.
func (e *era) at(rev int64) *event {
	if rev <= e.start || rev > e.end() {
		return nil
	}
	return &e.events[rev-e.start-1]
}

// auditor sees the one history of the database, by watching everything.
type auditor struct {
	found   *findings
	watches storage.Interface

	mu    sync.Mutex
	eras  []*era
	moved chan struct{} // closed and replaced with every event
}

func newAuditor(found *findings, s storage.Interface) *auditor {
	return &auditor{found: found, watches: s, moved: make(chan struct{})}
}

// begin starts an era with a list that was made before anybody else could write.
func (a *auditor) begin(ctx context.Context, s storage.Interface) error {
	items, rev, err := list(ctx, s, prefix, storage.Everything, 0)
	if err != nil {
		return fmt.Errorf("beginning an era: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.eras); n > 0 && rev <= a.eras[n-1].end() {
		a.found.Add("revisions reused", "list at %d after revision %d", rev, a.eras[n-1].end())
	}
	a.eras = append(a.eras, &era{start: rev, initial: items})
	a.wake()
	return nil
}

// current returns the era that goes on.
func (a *auditor) current() *era {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.eras[len(a.eras)-1]
}

// run follows the history until ctx ends.
func (a *auditor) run(ctx context.Context) {
	for ctx.Err() == nil {
		e := a.current()
		err := a.follow(ctx, e)
		// A replica that has yet to notice a failover ends even the watches that begin
		// after it.
		if apierrors.IsResourceExpired(err) && e == a.current() && len(e.events) > 0 {
			a.found.Add("expired without cause", "the auditor at revision %d: %v", e.end(), err)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (a *auditor) follow(ctx context.Context, current *era) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := a.watches.Watch(ctx, prefix, storage.ListOptions{
		ResourceVersion: strconv.FormatInt(current.end(), 10), Recursive: true, Predicate: storage.Everything,
	})
	if err != nil {
		return err
	}
	for e := range w.ResultChan() {
		if status, ok := e.Object.(*metav1.Status); ok {
			return &apierrors.StatusError{ErrStatus: *status}
		}
		i, whole := itemOf(e.Object.(*example.Pod))
		if !whole {
			a.found.Add("broken object", "%v", e.Object)
		}
		if want := current.end() + 1; i.Rev != want {
			a.found.Add("revisions not dense", "the auditor got %d after %d", i.Rev, want-1)
			return errors.New("out of order")
		}
		a.append(current, event{kind: e.Type, item: i})
	}
	return errors.New("the watch ended")
}

func (a *auditor) append(to *era, e event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	to.events = append(to.events, e)
	a.wake()
}

func (a *auditor) wake() {
	close(a.moved)
	a.moved = make(chan struct{})
}

// position is how far the auditor has come.
func (a *auditor) position() (int64, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.eras[len(a.eras)-1].end(), a.moved
}

// reach waits until the auditor has seen everything up to now.
func (a *auditor) reach(ctx context.Context) (int64, error) {
	var target uint64
	err := retry(ctx, func() (err error) {
		target, err = a.watches.GetCurrentResourceVersion(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for the auditor: %w", err)
	}
	for {
		at, moved := a.position()
		if at >= int64(target) {
			return int64(target), nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, fmt.Errorf("the auditor stands at %d of %d: %w", at, target, ctx.Err())
		}
	}
}
