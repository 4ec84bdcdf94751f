package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/test/bench/internal/report"
)

// eventGrace is how long after the last write an event may come.
const eventGrace = 10 * time.Second

// lossRow counts what no watch may do.
const lossRow = "events lost, repeated or out of order"

// each calls f for n clients at the same time and returns the first error.
func each(n int, f func(client int) error) error {
	var clients errgroup.Group
	for client := range n {
		clients.Go(func() error { return f(client) })
	}
	return clients.Wait()
}

func sorted(durations []time.Duration) []time.Duration {
	slices.Sort(durations)
	return durations
}

// arrival is when a revision was acknowledged to its writer, or came by a watch.
type arrival struct {
	revision uint64
	at       time.Time
}

func revisionOf(pod metav1.Object) (uint64, error) {
	return strconv.ParseUint(pod.GetResourceVersion(), 10, 64)
}

// observer is a watch of all pods from now on.
type observer struct {
	watch    watch.Interface
	arrivals []arrival
	disorder int
	failure  error
	finished chan struct{}
}

func observe(ctx context.Context, s storage.Interface) (*observer, error) {
	revision, err := s.GetCurrentResourceVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the revision: %w", err)
	}
	w, err := s.Watch(ctx, "/pods", storage.ListOptions{
		ResourceVersion: strconv.FormatUint(revision, 10), Recursive: true, Predicate: storage.Everything,
	})
	if err != nil {
		return nil, fmt.Errorf("watching: %w", err)
	}
	o := &observer{watch: w, finished: make(chan struct{})}
	return o, nil
}

// read takes events until the one of a revision, or grace after the last write.
func (o *observer) read(last <-chan uint64) {
	defer close(o.finished)
	defer o.watch.Stop()
	var until uint64
	var timeout <-chan time.Time
	for {
		if n := len(o.arrivals); until > 0 && n > 0 && o.arrivals[n-1].revision >= until {
			return
		}
		select {
		case until = <-last:
			last, timeout = nil, time.After(eventGrace)
		case <-timeout:
			return
		case event, open := <-o.watch.ResultChan():
			if !open {
				o.failure = errors.New("the watch ended")
				return
			}
			o.take(event)
		}
	}
}

func (o *observer) take(event watch.Event) {
	now := time.Now()
	pod, ok := event.Object.(metav1.Object) // the cache wraps its pods
	if !ok {
		o.failure = fmt.Errorf("unexpected event %s %v", event.Type, event.Object)
		return
	}
	revision, err := revisionOf(pod)
	if err != nil {
		o.failure = err
	}
	if n := len(o.arrivals); n > 0 && o.arrivals[n-1].revision >= revision {
		o.disorder++
	}
	o.arrivals = append(o.arrivals, arrival{revision, now})
}

// observed is a load of creates that was watched.
type observed struct {
	*outcome
	delays   []time.Duration // from acknowledgement to event, sorted
	failures int             // events lost, repeated or out of order
}

// createObserved has clients create pods through the writers in turn, while watches
// read them.
func (t *turn) createObserved(ctx context.Context, l load, writers []storage.Interface, watched ...storage.Interface) (*observed, error) {
	observers := make([]*observer, len(watched))
	last := make([]chan uint64, len(watched))
	for i, s := range watched {
		var err error
		if observers[i], err = observe(ctx, s); err != nil {
			return nil, err
		}
		last[i] = make(chan uint64, 1)
		go observers[i].read(last[i])
	}
	acks := make([][]arrival, l.clients)
	o, err := t.run(ctx, l, func(ctx context.Context, client int) error {
		pod, err := createPod(ctx, writers[client%len(writers)])
		if err != nil {
			return err
		}
		now := time.Now()
		revision, err := revisionOf(pod)
		acks[client] = append(acks[client], arrival{revision, now})
		return err
	})
	all := slices.Concat(acks...)
	var newest uint64
	for _, ack := range all {
		newest = max(newest, ack.revision)
	}
	for i := range observers {
		last[i] <- newest
	}
	for _, observer := range observers {
		<-observer.finished
		err = cmp.Or(err, observer.failure)
	}
	if err != nil {
		return nil, err
	}
	return join(o, all, observers), nil
}

// join finds the event of each acknowledgement. Those of the warm-up count too: they
// are few.
func join(o *outcome, acks []arrival, observers []*observer) *observed {
	result := &observed{outcome: o}
	var wait sync.WaitGroup
	perObserver := make([]struct {
		delays   []time.Duration
		failures int
	}, len(observers))
	for i, observer := range observers {
		wait.Go(func() {
			events := make(map[uint64]time.Time, len(observer.arrivals))
			for _, event := range observer.arrivals {
				events[event.revision] = event.at
			}
			r := &perObserver[i]
			r.failures = observer.disorder
			for _, ack := range acks {
				at, ok := events[ack.revision]
				if !ok {
					r.failures++
					continue
				}
				// An event may come first. A microsecond is as good as the clock.
				r.delays = append(r.delays, max(at.Sub(ack.at), time.Microsecond))
			}
		})
	}
	wait.Wait()
	for _, r := range perObserver {
		result.delays = append(result.delays, r.delays...)
		result.failures += r.failures
	}
	slices.Sort(result.delays)
	return result
}

// watchLatency measures from the acknowledgement of a write to its event, at equal
// loads and at the highest that each contender takes.
func watchLatency(ctx context.Context, t *turn) error {
	const clients = 64
	s, err := t.pods(ctx)
	if err != nil {
		return err
	}
	lost := 0
	for _, form := range []struct {
		row  string
		rate float64
	}{
		{"watch at 200 writes/s", 200},
		{"watch at 1,000 writes/s", 1000},
		{"watch at 3,000 writes/s", 3000},
		{"watch under all writes that 64 clients make", 0},
	} {
		l := load{clients: clients, duration: t.duration, rate: form.rate}
		o, err := t.createObserved(ctx, l, []storage.Interface{s}, s)
		if err != nil {
			return fmt.Errorf("%s: %w", form.row, err)
		}
		lost += o.failures
		detail := ""
		if form.rate == 0 || o.rate() < 0.9*form.rate {
			detail = "at " + report.Number(o.rate()) + "/s"
		}
		t.record(form.row+", p50", milliseconds(percentile(o.delays, 0.5)), detail)
		t.record(form.row+", p99", milliseconds(percentile(o.delays, 0.99)), detail)
	}
	t.record(lossRow, float64(lost), "")
	return nil
}

// fanOut has a hundred watches see every write.
func fanOut(ctx context.Context, t *turn) error {
	const watches, rate = 100, 100
	raw, cached, err := t.podsTwice(ctx)
	if err != nil {
		return err
	}
	for _, form := range []struct {
		row string
		s   storage.Interface
	}{{"100 watches of 100 writes/s", raw}, {"100 watches of 100 writes/s behind the cache", cached}} {
		o, err := t.createObserved(ctx, load{clients: 4, duration: t.duration, rate: rate},
			[]storage.Interface{raw}, slices.Repeat([]storage.Interface{form.s}, watches)...)
		if err != nil {
			return fmt.Errorf("%s: %w", form.row, err)
		}
		t.recordLatency(form.row, o.delays)
		t.record("CPU of all processes, one event of "+form.row,
			float64(o.cpu.Microseconds())/float64(o.operations()*watches), "")
	}
	return nil
}

// replicas compares the creates of two replicas with those of one, under as many
// clients and watches.
func replicas(ctx context.Context, t *turn) error {
	const clients = 64
	first, err := t.pods(ctx)
	if err != nil {
		return err
	}
	second, err := t.pods(ctx)
	if err != nil {
		return err
	}
	l := load{clients: clients, duration: t.duration}
	one, err := t.createObserved(ctx, l, []storage.Interface{first}, first, first)
	if err != nil {
		return fmt.Errorf("one replica: %w", err)
	}
	two, err := t.createObserved(ctx, l, []storage.Interface{first, second}, first, second)
	if err != nil {
		return fmt.Errorf("two replicas: %w", err)
	}
	t.recordRate("create by two replicas, 64 clients", two.outcome)
	t.record("create by two replicas, in those of one", two.rate()/one.rate(), "")
	t.record(lossRow+", two replicas", float64(one.failures+two.failures), "")
	return nil
}

// crossReplica measures from the acknowledgement of a write by one replica to its event
// from another.
func crossReplica(ctx context.Context, t *turn) error {
	writer, err := t.pods(ctx)
	if err != nil {
		return err
	}
	reader, err := t.pods(ctx)
	if err != nil {
		return err
	}
	o, err := t.createObserved(ctx, load{clients: 4, duration: 2 * t.duration, rate: 100}, []storage.Interface{writer}, reader)
	if err != nil {
		return err
	}
	t.recordLatency("watch of another replica's writes", o.delays)
	return nil
}
