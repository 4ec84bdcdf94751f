package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"
)

// Options say what a run does. All of its randomness comes from Seed, but for the time
// that everything takes.
type Options struct {
	Seed       uint64
	Operations int // at least so many calls,
	Sessions   int // so many sessions
	Faults     int // and so many faults in each episode
	Replicas   []int
	Clients    int
	Pause      time.Duration // between faults, at most
	Only       string        // the name of one fault, to inject no other
	Log        io.Writer
}

// Load of an episode.
const (
	keys          = 24  // in use at a time,
	mortalKeys    = 3   // of which so many hold objects with a time to live
	callsPerKey   = 200 // after which the key is left alone: keeps the check of its calls fast
	sessionsAtOne = 4   // replica, at a time
)

// episode is one run on servers of its own.
type episode struct {
	options  Options
	ctx      context.Context // ends with the load
	found    *findings
	birth    time.Time
	cluster  *cluster
	deck     *deck
	replicas []*replica
	worker   *worker
	auditor  *auditor
	audits   *replica

	generation   atomic.Int64 // of keys
	started      atomic.Int64 // calls with keys of the generation
	operations   atomic.Int64 // calls, and lists of sessions
	refused      atomic.Int64 // calls that failed
	givenUp      atomic.Int64 // calls of unknown outcome
	sessionCount atomic.Int64
	compacted    atomic.Int64 // revision
	jumps        []jump
	failovers    atomic.Int64

	finalItems []item // all objects, after everything
	finalRev   int64

	mu       sync.Mutex
	calls    []*call
	sessions []*session
	count    map[string]int // of faults
}

func (e *episode) now() int64 { return int64(time.Since(e.birth)) }

func (e *episode) namespace() string { return fmt.Sprintf("g%d", e.generation.Load()) }

// key returns one of the keys in use.
func (e *episode) key(rng *rand.Rand) string {
	if e.started.Add(1) > keys*callsPerKey {
		e.nextGeneration()
	}
	name := "k"
	n := rng.IntN(keys)
	if n < mortalKeys {
		name = "t"
	}
	return fmt.Sprintf("%s/%s%d", e.namespace(), name, n)
}

// isMortal reports whether the objects of a key have a time to live. Those of others
// have none.
func isMortal(key string) bool { return strings.Contains(key, "/t") }

// nextGeneration leaves all keys alone and goes on with new ones.
func (e *episode) nextGeneration() {
	e.started.Store(0)
	e.generation.Add(1)
}

// quiet has the packages under test log nothing: every fault makes them complain.
func quiet(ctx context.Context) context.Context {
	return klog.NewContext(ctx, logr.Discard())
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// retry calls f until it succeeds or ctx ends.
func retry(ctx context.Context, f func() error) error {
	var last error
	for {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, last)
		}
		last = err
		pause(ctx, 20*time.Millisecond)
	}
}

// setUp starts servers and replicas.
func (e *episode) setUp(ctx context.Context, replicas int, dir string) (err error) {
	if e.cluster, err = startCluster(ctx, dir); err != nil {
		return err
	}
	socket := e.cluster.primary.SocketDir()
	for n := range replicas {
		r, err := openReplica(ctx, n, socket)
		if err != nil {
			return err
		}
		e.replicas = append(e.replicas, r)
	}
	if e.audits, err = openReplica(ctx, 0, socket); err != nil {
		return err
	}
	e.auditor = newAuditor(e.found, e.audits)
	if err := e.auditor.begin(ctx, e.audits); err != nil {
		return err
	}
	if e.worker, err = newWorker(socket); err != nil {
		return err
	}
	return e.worker.start()
}

func (e *episode) tearDown() {
	for _, r := range append(e.replicas, e.audits) {
		if r != nil {
			r.close()
		}
	}
	if e.worker != nil {
		e.worker.close()
	}
	if e.cluster != nil {
		e.cluster.close()
	}
}

// proxies are those that faults may touch.
func (e *episode) proxies() []*proxy {
	all := []*proxy{e.worker.proxy}
	for _, r := range e.replicas {
		all = append(all, r.proxy)
	}
	return all
}

// performers are what clients can make calls to.
func (e *episode) performers() []performer {
	all := []performer{e.worker}
	for _, r := range e.replicas {
		all = append(all, r)
	}
	return all
}

// run loads the database until the nemesis has done its work and enough was called,
// then heals everything and waits for calm.
func (e *episode) run(ctx context.Context, operations, sessions int, rng *rand.Rand) error {
	load, stop := context.WithCancel(ctx)
	defer stop()
	e.ctx = load
	auditing, stopAuditing := context.WithCancel(ctx)
	defer stopAuditing()
	var auditor, loading sync.WaitGroup
	auditor.Go(func() { e.auditor.run(auditing) })
	for n := range e.options.Clients {
		seed := rng.Uint64()
		loading.Go(func() { e.client(load, n, rand.New(rand.NewPCG(seed, 1))) })
	}
	for _, r := range e.replicas {
		for range sessionsAtOne {
			seed := rng.Uint64()
			loading.Go(func() { e.informer(load, r, rand.New(rand.NewPCG(seed, 2))) })
		}
	}
	nemesis := newNemesis(e, rng)
	err := nemesis.run(load, operations, sessions)
	stop()
	loading.Wait()
	if err == nil {
		e.calm(ctx)
	}
	stopAuditing()
	auditor.Wait()
	return err
}

// settleTimeout is how long everything may take to be as it should be after the last
// fault.
const settleTimeout = 90 * time.Second

// calm waits until nothing happens any more: objects with a time to live are gone and
// the auditor has seen everything. Each replica must work again.
func (e *episode) calm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, r := range e.replicas {
		if err := retry(ctx, func() error { return e.lastCall(ctx, r) }); err != nil {
			e.found.Add("does not recover", "replica %d cannot write: %v", r.number, err)
		}
	}
	// What was made while the clock was ahead expires when it would have been.
	if err := e.cluster.setClock(maxJump); err != nil {
		e.found.Add("does not recover", "%v", err)
	}
	if err := e.expire(ctx); err != nil {
		e.found.Add("does not recover", "objects do not expire: %v", err)
	}
	err := retry(ctx, func() (err error) {
		e.finalItems, e.finalRev, err = list(ctx, e.audits, prefix, storage.Everything, 0)
		return err
	})
	if err == nil {
		_, err = e.auditor.reach(ctx)
	}
	if err != nil {
		e.found.Add("does not recover", "%v", err)
	}
}

// lastCall makes one write and reports whether it worked.
func (e *episode) lastCall(ctx context.Context, r *replica) error {
	c := &call{began: e.now(), request: request{
		Kind: create, Key: fmt.Sprintf("end/t%d", r.number), Value: fmt.Sprintf("end%d-%d", r.number, e.now()),
		Seconds: 1, Deadline: 10 * time.Second,
	}}
	c.result = r.perform(ctx, c.request)
	c.ended = e.now()
	e.calls = append(e.calls, c)
	if c.Outcome == done || c.Outcome == exists {
		return nil
	}
	return errors.New(c.Err)
}

// expire waits until no object that was to expire is left.
func (e *episode) expire(ctx context.Context) error {
	return retry(ctx, func() error {
		items, _, err := list(ctx, e.audits, prefix, storage.Everything, 0)
		if err != nil {
			return err
		}
		for _, i := range items {
			if isMortal(i.Key) {
				return fmt.Errorf("%s is still there", i.Key)
			}
		}
		return nil
	})
}
