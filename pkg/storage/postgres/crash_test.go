package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestCrashUnderLoad kills the database while writers count. What was acknowledged must
// be there, what was refused must not, and a watch must see each step once.
func TestCrashUnderLoad(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartServer(t)
	f := newFixtureAt(t, postgrestest.NewSchema(t, server.DSN()))
	w := watchPods(t, f.Storage, listPods(t, f.Storage, storage.ListOptions{}).ResourceVersion)

	const writers, crashes = 8, 3
	tallies, acknowledged, stop := startCounting(t, f.Storage, writers)
	for range crashes {
		waitForMore(t, acknowledged, 100)
		server.Kill()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	waitForMore(t, acknowledged, 100)
	stop()

	state := map[string]int{}
	list := listPods(t, f.Storage, storage.ListOptions{})
	for i := range list.Items {
		state[list.Items[i].Name] = counter(&list.Items[i])
	}
	for i, tally := range tallies {
		got := state[fmt.Sprintf("pod-%d", i)]
		if got < tally.acknowledged || got > tally.acknowledged+tally.unknown {
			t.Errorf("pod-%d counts %d, but %d steps were acknowledged and %d are unknown",
				i, got, tally.acknowledged, tally.unknown)
		}
	}
	checkDense(t, f.db)
	checkSteps(t, w, state)
}

// tally is what one writer was told.
type tally struct {
	acknowledged int
	unknown      int // timed out or canceled: may have been applied
}

func (y *tally) count(ctx context.Context, s storage.Interface, name string, total *atomic.Int64) {
	for ctx.Err() == nil {
		_, err := increment(ctx, s, name)
		switch {
		case err == nil:
			y.acknowledged++
			total.Add(1)
		case apierrors.IsServiceUnavailable(err): // refused
			sleep(ctx, 10*time.Millisecond)
		default:
			y.unknown++
		}
	}
}

// startCounting has writers count, each in a pod of its own, until stop. The tallies
// are to be read after that.
func startCounting(t *testing.T, s storage.Interface, writers int) (tallies []tally, acknowledged *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tallies, acknowledged = make([]tally, writers), &atomic.Int64{}
	var writing sync.WaitGroup
	for i := range tallies {
		writing.Go(func() { tallies[i].count(ctx, s, fmt.Sprintf("pod-%d", i), acknowledged) })
	}
	stop = func() {
		cancel()
		writing.Wait()
	}
	t.Cleanup(stop)
	return tallies, acknowledged, stop
}

func waitForMore(t *testing.T, acknowledged *atomic.Int64, n int64) {
	t.Helper()
	goal := acknowledged.Load() + n
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return acknowledged.Load() >= goal, nil })
	if err != nil {
		t.Fatalf("writers stand still at %d writes: %v", acknowledged.Load(), err)
	}
}

// checkSteps fails unless the events lead to the state one step at a time.
func checkSteps(t *testing.T, w watch.Interface, state map[string]int) {
	t.Helper()
	want := 0
	for _, n := range state {
		want += n
	}
	seen := map[string]int{}
	for range want {
		select {
		case event := <-w.ResultChan():
			pod, ok := event.Object.(*example.Pod)
			if !ok {
				t.Fatalf("event %v", event)
			}
			if counter(pod) != seen[pod.Name]+1 {
				t.Fatalf("%s steps from %d to %d", pod.Name, seen[pod.Name], counter(pod))
			}
			seen[pod.Name]++
		case <-time.After(eventTimeout):
			t.Fatalf("saw %v, want %v", seen, state)
		}
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartServer(t)
	f := newFixtureAt(t, postgrestest.NewSchema(t, server.DSN()))
	createPod(t, f.Storage, "pod")
	server.Stop()

	calls := map[string]func() error{
		"create": func() error { return f.Create(t.Context(), podKey("new"), newPod("new"), nil, 0) },
		"get":    func() error { return f.Get(t.Context(), podKey("pod"), storage.GetOptions{}, &example.Pod{}) },
		"list": func() error {
			return f.GetList(t.Context(), "/pods", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, &example.PodList{})
		},
		"revision": func() error {
			_, err := f.GetCurrentResourceVersion(t.Context())
			return err
		},
	}
	for name, call := range calls {
		err := call()
		seconds, retry := apierrors.SuggestsClientDelay(err)
		if !apierrors.IsServiceUnavailable(err) || !retry || seconds != 1 {
			t.Errorf("%s: error %v, want unavailable for 1 second", name, err)
		}
	}
	if f.db.Ping(t.Context()) == nil {
		t.Error("a stopped database is reported ready")
	}

	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	getPod(t, f.Storage, "pod")
	createPod(t, f.Storage, "new")
}
