package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// Two databases on one schema stand for two API servers.

func TestReplicaSeesWritesInOrder(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	a, b := newFixtureAt(t, dsn), newFixtureAt(t, dsn)
	w := watchPods(t, b.Storage, listPods(t, b.Storage, storage.ListOptions{}).ResourceVersion)

	created := createPod(t, a.Storage, "one")
	updated, err := increment(t.Context(), a.Storage, "one")
	if err != nil {
		t.Fatal(err)
	}
	deleted := deletePod(t, a.Storage, "one")

	for _, want := range []struct {
		event watch.EventType
		pod   *example.Pod
	}{{watch.Added, created}, {watch.Modified, updated}, {watch.Deleted, deleted}} {
		if got := nextPod(t, w, want.event); got.ResourceVersion != want.pod.ResourceVersion {
			t.Errorf("%s at %s, want %s", want.event, got.ResourceVersion, want.pod.ResourceVersion)
		}
	}
}

// TestReplicaIsNotified tells notification from polling, which would take a second for
// each write.
func TestReplicaIsNotified(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	a, b := newFixtureAt(t, dsn), newFixtureAt(t, dsn)
	w := watchPods(t, b.Storage, createPod(t, a.Storage, "start").ResourceVersion)
	const writes = 12
	start := time.Now()
	for i := range writes {
		createPod(t, a.Storage, fmt.Sprintf("pod-%d", i))
		nextPod(t, w, watch.Added)
	}
	if took := time.Since(start); took > writes*pollInterval/2 {
		t.Errorf("%d writes took %v to arrive", writes, took)
	}
}

func TestReplicaReadsItsWritesElsewhere(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	a, b := newFixtureAt(t, dsn), newFixtureAt(t, dsn)
	for i := range 100 {
		name := fmt.Sprintf("pod-%d", i)
		createPod(t, a.Storage, name)
		getPod(t, b.Storage, name)
	}
}

// TestWatchFromThePast starts behind what a fresh replica has in memory.
func TestWatchFromThePast(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	a := newFixtureAt(t, dsn)
	start := createPod(t, a.Storage, "start")
	const pods = catchUpLimit + 50
	for i := range pods {
		createPod(t, a.Storage, fmt.Sprintf("pod-%04d", i))
	}
	b := newFixtureAt(t, dsn)
	w := watchPods(t, b.Storage, start.ResourceVersion)
	for i := range pods {
		if got, want := nextPod(t, w, watch.Added).Name, fmt.Sprintf("pod-%04d", i); got != want {
			t.Fatalf("event for %s, want %s", got, want)
		}
	}
}

// rangeRecorder notes the most revisions that a watch has searched at a time.
type rangeRecorder struct{ most atomic.Int64 }

func (r *rangeRecorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL == rangeQuery {
		r.most.Store(max(r.most.Load(), data.Args[1].(int64)-data.Args[0].(int64)))
	}
	return ctx
}

func (r *rangeRecorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestWatchFromFarBehind has more changes in between than can be searched in the time of
// one query, none of which are the watch's.
func TestWatchFromFarBehind(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	a := newFixtureAt(t, dsn)
	start := createPod(t, a.Storage, "start")
	if _, err := a.db.pool.Exec(t.Context(), `
		with base as (update meta set rev = rev + $1::bigint returning rev - $1::bigint as rev)
		insert into log (rev, key, prev, crt, kind, batch, actor, value)
		select rev + n, '/others/' || n, 0, rev + n, 0, 0, 'test', 'v' from base, generate_series(1, $1) n`,
		catchUpRevisions*5/2); err != nil {
		t.Fatal(err)
	}
	want := createPod(t, a.Storage, "end")

	recorder := &rangeRecorder{}
	db, err := Open(t.Context(), Config{ConnString: dsn, Tracer: recorder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	w := watchPods(t, newPodStorage(t, db), start.ResourceVersion)
	if got := nextPod(t, w, watch.Added); got.ResourceVersion != want.ResourceVersion {
		t.Errorf("event at %s, want %s", got.ResourceVersion, want.ResourceVersion)
	}
	if got := recorder.most.Load(); got != catchUpRevisions {
		t.Errorf("searched %d revisions at a time, want %d", got, catchUpRevisions)
	}
}

// TestListThenWatchMissesNothing is the pattern of every informer, against writers on
// two replicas: the list plus the events must end in the state the writers left.
func TestListThenWatchMissesNothing(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	replicas := []*fixture{newFixtureAt(t, dsn), newFixtureAt(t, dsn)}
	const writers, rounds, sessions = 16, 40, 20

	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			s := replicas[i%2].Storage
			for range rounds {
				if _, err := increment(context.Background(), s, fmt.Sprintf("pod-%d", i)); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	for i := range sessions {
		s := replicas[i%2].Storage
		list := listPods(t, s, storage.ListOptions{})
		w := watchPods(t, s, list.ResourceVersion)
		all.Go(func() { followSession(t, w, list, writers, rounds) })
	}
	all.Wait()
	for _, replica := range replicas {
		checkDense(t, replica.db)
	}
}

// followSession applies events to a list until every pod has reached its last round.
func followSession(t *testing.T, w watch.Interface, list *example.PodList, pods, rounds int) {
	counters := map[string]int{}
	finished := 0
	for i := range list.Items {
		counters[list.Items[i].Name] = counter(&list.Items[i])
		if counter(&list.Items[i]) == rounds {
			finished++
		}
	}
	last := int64(0)
	for finished < pods {
		var event watch.Event
		select {
		case event = <-w.ResultChan():
		case <-time.After(eventTimeout):
		}
		pod, ok := event.Object.(*example.Pod)
		if !ok {
			t.Errorf("event %v with %d of %d pods finished", event, finished, pods)
			return
		}
		if rev := revisionOf(t, pod); rev <= last {
			t.Errorf("revision %d after %d", rev, last)
		} else {
			last = rev
		}
		if got, want := counter(pod), counters[pod.Name]+1; got != want {
			t.Errorf("%s jumps to %d, want %d", pod.Name, got, want)
		}
		if counters[pod.Name] = counter(pod); counter(pod) == rounds {
			finished++
		}
	}
}

func TestReplicasKnowOfEachOther(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	a := newFixtureAt(t, dsn)
	createPod(t, a.Storage, "alone")
	if a.db.peers.present() {
		t.Error("a lone replica notifies others")
	}
	b := newFixtureAt(t, dsn)
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, eventTimeout, true, func(context.Context) (bool, error) {
		return a.db.peers.present() && b.db.peers.present(), nil
	})
	if err != nil {
		t.Errorf("a knows of another: %v, b: %v", a.db.peers.present(), b.db.peers.present())
	}
}
