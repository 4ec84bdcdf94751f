package integration

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/provisioner/shards"
	"platform.dev/stores/test/internal/harness"
)

const (
	shardCount    = 16
	shardLease    = 3 * time.Second
	shardDeadline = 2 * time.Second
	shardRetry    = 200 * time.Millisecond
)

// Replicas share through the Leases of a real API server: fairly, also after one
// has died and one was cut off for longer than its lease, and never two at once.
func TestReplicasShareThroughLeases(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	record := &ownership{}
	a, b, c := joinShards(t, namespace, "a", record), joinShards(t, namespace, "b", record), joinShards(t, namespace, "c", record)
	held := func(want ...int) func() bool {
		return func() bool {
			got := []int{a.Held(), b.Held(), c.Held()}
			slices.Sort(got)
			return slices.Equal(got, want)
		}
	}
	until(t, "fair shares", held(5, 5, 6))

	lost := time.Now()
	a.cut()
	until(t, "the shards to move", func() bool { return b.Held()+c.Held() == shardCount })
	if took := time.Since(lost); took < shardLease-shardRetry || took > shardLease+10*shardRetry {
		t.Errorf("the shards of the replica that was cut off moved after %s, want %s", took, shardLease)
	}
	if err := <-a.ended; !errors.Is(err, shards.ErrLost) {
		t.Errorf("the replica that was cut off ended with %v, want ErrLost", err)
	}
	a.heal() // It has a way again, and may not use it.
	if err := a.write(t); !errors.Is(err, shards.ErrLost) {
		t.Errorf("writing after the lease was lost: %v, want ErrLost", err)
	}

	left := time.Now()
	b.stop()
	if err := <-b.ended; err != nil {
		t.Errorf("leaving: %v", err)
	}
	until(t, "one replica to hold everything", func() bool { return c.Held() == shardCount })
	if took := time.Since(left); took >= shardDeadline {
		t.Errorf("handing over took %s, as if the replica had died", took)
	}
	record.check(t)
}

// shardReplica is one that shares, with a way to the API server that can be cut.
type shardReplica struct {
	*shards.Shards
	stop   context.CancelFunc
	ended  chan error
	fenced *http.Client

	mu    sync.Mutex
	isCut bool
}

func joinShards(t *testing.T, namespace, identity string, record *ownership) *shardReplica {
	t.Helper()
	r := &shardReplica{ended: make(chan error, 1)}
	config := rest.CopyConfig(env.Admin())
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			r.mu.Lock()
			cut := r.isCut
			r.mu.Unlock()
			if cut {
				return nil, errors.New("no way to the API server")
			}
			return next.RoundTrip(request)
		})
	})
	r.Shards = shards.New(shards.Config{
		Leases: harness.Core(t, config).CoordinationV1().Leases(namespace), Identity: identity, Count: shardCount,
		LeaseDuration: shardLease, RenewDeadline: shardDeadline, RetryPeriod: shardRetry,
	})
	work := rest.CopyConfig(env.Admin())
	work.Wrap(r.Fence)
	var err error
	if r.fenced, err = rest.HTTPClientFor(work); err != nil {
		t.Fatal(err)
	}
	hold, release := context.WithCancel(t.Context())
	working, finish := context.WithCancel(t.Context())
	worked := make(chan struct{})
	// As the program does: what is under way ends first.
	r.stop = func() {
		finish()
		<-worked
		release()
	}
	t.Cleanup(r.stop)
	go func() { r.ended <- r.Run(hold) }()
	go func() {
		defer close(worked)
		record.watch(working, identity, r.Shards)
	}()
	return r
}

func (r *shardReplica) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isCut = cut
}

func (r *shardReplica) cut()  { r.setCut(true) }
func (r *shardReplica) heal() { r.setCut(false) }

// write sends a request through the fence that would change something.
func (r *shardReplica) write(t *testing.T) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, env.Admin().Host+"/api/v1/namespaces/none", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.fenced.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	return err
}

// ownership is when each replica was allowed to work on stores.
type ownership struct {
	mu    sync.Mutex
	spans []span
}

type span struct {
	replica    string
	store      types.UID
	begin, end time.Time
}

// watch works on many stores in turn, each for a moment, and records when.
func (o *ownership) watch(ctx context.Context, replica string, s *shards.Shards) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var begun []span
		var ends []func()
		for i := range 4 * shardCount {
			uid := types.UID(strconv.Itoa(i))
			if end, ok := s.Begin(uid); ok {
				begun, ends = append(begun, span{replica: replica, store: uid, begin: time.Now()}), append(ends, end)
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		for i, end := range ends {
			if now := time.Now(); s.Mine(begun[i].store) {
				begun[i].end = now
			}
			end()
		}
		o.mu.Lock()
		o.spans = append(o.spans, begun...)
		o.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

// check fails if two replicas were allowed to work on one store at a time, or if
// nothing has moved.
func (o *ownership) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	stores := map[types.UID][]span{}
	for _, s := range o.spans {
		if !s.end.IsZero() { // else it was cut off before the end
			stores[s.store] = append(stores[s.store], s)
		}
	}
	moved := 0
	for uid, spans := range stores {
		slices.SortFunc(spans, func(a, b span) int { return a.begin.Compare(b.begin) })
		for i := 1; i < len(spans); i++ {
			before, after := spans[i-1], spans[i]
			if before.replica == after.replica {
				continue
			}
			moved++
			if after.begin.Before(before.end) {
				t.Errorf("%s and %s worked on store %s at a time", before.replica, after.replica, uid)
			}
		}
	}
	if moved < shardCount {
		t.Errorf("%d stores moved: too few to show anything", moved)
	}
}
