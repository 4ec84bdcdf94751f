package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// Writers on two replicas count, watches follow them, and both replicas cut the log
// again and again through the partition that is being written.
func TestCutUnderLoad(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	replicas := []*fixture{newFixtureAt(t, dsn), newFixtureAt(t, dsn)}
	const writers, cuts = 8, 4
	var watches []watch.Interface
	for _, f := range replicas {
		watches = append(watches, watchPods(t, f.Storage, listPods(t, f.Storage, storage.ListOptions{}).ResourceVersion))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var counting, cutting sync.WaitGroup
	state := make([]int, writers)
	for i := range writers {
		counting.Go(func() {
			for ctx.Err() == nil {
				if _, err := increment(context.Background(), replicas[i%2].Storage, fmt.Sprintf("pod-%d", i)); err != nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}
				state[i]++
			}
		})
	}
	for _, f := range replicas {
		cutting.Go(func() {
			for made := 0; made < cuts && !t.Failed(); {
				at := f.db.hub.position().rev
				if err := f.tryCut(ctx, at); err != nil {
					t.Error(err)
				}
				if partitions(t, f.db)[0] == fmt.Sprintf("log_until_%d [0, %[1]d)", at) {
					made++ // and not the other one
				}
			}
		})
	}
	cutting.Wait()
	stop()
	counting.Wait()
	want := map[string]int{}
	for i, n := range state {
		want[fmt.Sprintf("pod-%d", i)] = n
	}
	got := map[string]int{}
	list := listPods(t, replicas[0].Storage, storage.ListOptions{})
	for i := range list.Items {
		got[list.Items[i].Name] = counter(&list.Items[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	for _, w := range watches {
		checkSteps(t, w, want)
	}
}

func TestOneReplicaCutsAtATime(t *testing.T) {
	t.Parallel()
	a := newFixture(t)
	b := newFixtureAt(t, a.dsn)
	createPod(t, a.Storage, "pod")
	last := revisionOf(t, createPod(t, a.Storage, "other"))
	if err := a.db.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	ask := func(inside func() error) func(context.Context, *pgx.Conn) (*int64, error) {
		return func(context.Context, *pgx.Conn) (*int64, error) { return &last, inside() }
	}
	asked := false
	err := a.db.withCut(t.Context(), ask(func() error {
		return b.db.withCut(t.Context(), ask(func() error { asked = true; return nil }))
	}))
	if err != nil || asked {
		t.Errorf("error %v, both cut: %v", err, asked)
	}
	if got := partitions(t, b.db)[0]; got != fmt.Sprintf("log_until_%d [0, %[1]d)", last) {
		t.Errorf("first partition %s", got)
	}
}

// interference does something whenever a cut has copied some revisions.
type interference struct {
	interfere func()
	copies    int
}

type copyingKey struct{}

func (i *interference) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL == copyRestQuery {
		return context.WithValue(ctx, copyingKey{}, true)
	}
	return ctx
}

func (i *interference) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(copyingKey{}) != nil {
		i.copies++
		i.interfere()
	}
}

func newInterferedFixture(t *testing.T, tracer *interference) *fixture {
	t.Helper()
	db, err := Open(t.Context(), Config{ConnString: postgrestest.New(t), Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &fixture{Storage: newPodStorage(t, db)}
}

// TestCutCatchesUp: a cut is made however often others write, and keeps what they wrote.
func TestCutCatchesUp(t *testing.T) {
	t.Parallel()
	const enough = 20
	writer := &interference{}
	f := newInterferedFixture(t, writer)
	last := revisionOf(t, createPod(t, f.Storage, "pod"))
	writer.interfere = func() {
		if writer.copies <= enough {
			createPod(t, f.Storage, fmt.Sprint("pod-", writer.copies))
		}
	}
	f.cut(t, last)
	if writer.copies != 1 {
		t.Errorf("copied %d times, want once", writer.copies)
	}
	if got := len(listPods(t, f.Storage, storage.ListOptions{}).Items); got != 1+writer.copies {
		t.Errorf("%d pods, want %d", got, 1+writer.copies)
	}
}

// A reader that takes its time delays the cut, and the cut delays nobody for long. It
// copies nothing that it would have to copy again while the reader goes on.
func TestCutWaitsForReaders(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"who come before it": true, "who come while it copies": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer := &interference{interfere: func() {}}
			f := newInterferedFixture(t, tracer)
			createPod(t, f.Storage, "pod")
			last := revisionOf(t, createPod(t, f.Storage, "other"))
			reading := make(chan pgx.Tx, 1)
			read := func() {
				reader, err := f.db.pool.Begin(t.Context())
				if err == nil {
					_, err = reader.Exec(t.Context(), valueQuery, last)
				}
				if err != nil {
					t.Error(err)
				}
				reading <- reader
			}
			if early {
				read()
			} else {
				tracer.interfere = read
			}
			cut := make(chan error, 1)
			go func() { cut <- f.tryCut(t.Context(), last) }()
			reader := <-reading
			for i := range 30 {
				if _, err := increment(t.Context(), f.Storage, "pod"); err != nil {
					t.Fatalf("write %d: %v", i, err)
				}
				sleep(t.Context(), 50*time.Millisecond)
			}
			select {
			case err := <-cut:
				t.Fatalf("cut under a reader, error %v", err)
			default:
			}
			var copying bool
			if err := f.db.pool.QueryRow(t.Context(), "select exists (select from log_copy)").Scan(&copying); err != nil || copying == early {
				t.Errorf("copies: %v, error %v, want %v", copying, err, !early)
			}
			if err := reader.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-cut; err != nil {
				t.Error(err)
			}
			if got := counter(getPod(t, f.Storage, "pod")); got != 30 {
				t.Errorf("pod counts %d, want 30", got)
			}
		})
	}
}
