package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/claims"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestContendedUpdates has every batch fail its fast way: many writers, few keys, two
// replicas. No increment may be lost or applied twice.
func TestContendedUpdates(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	replicas := []*fixture{newFixtureAt(t, dsn), newFixtureAt(t, dsn)}
	const writers, rounds, keys = 24, 15, 3
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for range rounds {
				if _, err := increment(context.Background(), replicas[i%2].Storage, fmt.Sprintf("hot-%d", i%keys)); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	for i := range keys {
		if got, want := counter(getPod(t, replicas[0].Storage, fmt.Sprintf("hot-%d", i))), writers/keys*rounds; got != want {
			t.Errorf("hot-%d counts %d, want %d", i, got, want)
		}
	}
	checkDense(t, replicas[0].db)
}

// TestContendedCreates has many writers create the same names: exactly one wins each.
func TestContendedCreates(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	replicas := []*fixture{newFixtureAt(t, dsn), newFixtureAt(t, dsn)}
	const writers, names = 16, 25
	var wins atomic.Int64
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for _, n := range rand.Perm(names) {
				name := fmt.Sprintf("pod-%d", n)
				err := replicas[i%2].Create(context.Background(), podKey(name), newPod(name), nil, 0)
				switch {
				case err == nil:
					wins.Add(1)
				case !storage.IsExist(err):
					t.Errorf("creating %s: %v", name, err)
				}
			}
		})
	}
	all.Wait()
	if got := wins.Load(); got != names {
		t.Errorf("%d creates succeeded, want %d", got, names)
	}
	checkDense(t, replicas[0].db)
}

// TestCreateAfterDelete reuses one name over and over.
func TestCreateAfterDelete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 100 {
		createPod(t, f.Storage, "again")
		deletePod(t, f.Storage, "again")
	}
	if err := f.Get(t.Context(), podKey("again"), storage.GetOptions{}, &example.Pod{}); !storage.IsNotFound(err) {
		t.Errorf("error %v after the last delete, want not found", err)
	}
	checkDense(t, f.db)
}

// TestMixedBatchDecidesEachWrite sends a batch in which some conditions do not hold.
func TestMixedBatchDecidesEachWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rev := map[string]int64{}
	for _, name := range []string{"a", "b", "c", "d"} {
		rev[name] = revisionOf(t, createPod(t, f.Storage, name))
	}
	value := []byte("v")
	writes := []*write{
		{kind: created, key: podKey("a"), value: value},                       // exists
		{kind: updated, key: podKey("b"), expect: rev["b"], value: value},     // holds
		{kind: updated, key: podKey("c"), expect: rev["c"] - 1, value: value}, // out of date
		{kind: deleted, key: podKey("d"), expect: rev["d"]},                   // holds
		{kind: created, key: podKey("e"), value: value},                       // holds
		{kind: deleted, key: podKey("missing"), expect: 7},                    // never existed
	}
	changes, err := f.db.attempt(t.Context(), writes)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, c := range changes {
		got[c.key] = c.rev - rev["d"]
		if c.kind == deleted && len(c.previous) == 0 {
			t.Errorf("the deletion of %s does not carry the value it removed", c.key)
		}
	}
	want := map[string]int64{podKey("b"): 1, podKey("d"): 2, podKey("e"): 3}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("revisions relative to the last: %v, want %v", got, want)
	}
	f.db.hub.publish(changes)
	checkDense(t, f.db)
}

// TestRivalsAreDecidedTogether has several writes of one key in a queue, of which a batch
// takes those that depend on the same revision.
func TestRivalsAreDecidedTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pod := createPod(t, f.Storage, "pod")
	rev := revisionOf(t, pod)
	var queue []*write
	for _, expect := range []int64{rev, rev, rev - 1, rev} {
		queue = append(queue, &write{
			kind: updated, key: podKey("pod"), expect: expect, value: []byte("v"),
			ctx: t.Context(), done: make(chan outcome, 1),
		})
	}
	batch, rest := split(queue)
	if len(batch) != 1 || len(rest) != 1 || rest[0] != queue[2] {
		t.Fatalf("took %d writes and left %d, want 1 with its rivals and 1", len(batch), len(rest))
	}
	f.db.commit(t.Context(), batch)
	for i, want := range map[int]int64{0: rev + 1, 1: 0, 3: 0} {
		if got := <-queue[i].done; got.err != nil || got.rev != want {
			t.Errorf("write %d: %+v, want revision %d", i, got, want)
		}
	}
	if lost := queue[3].lost; lost == nil || lost.rev != rev+1 {
		t.Errorf("lost to %v, want the change at revision %d", lost, rev+1)
	}
}

// TestNothingToDeleteIsNoRival: a key that is not there to be deleted can be created.
func TestNothingToDeleteIsNoRival(t *testing.T) {
	t.Parallel()
	pending := func(k kind) *write {
		return &write{kind: k, key: podKey("pod"), ctx: t.Context(), done: make(chan outcome, 1)}
	}
	for name, test := range map[string]struct {
		queue []kind
		rest  int
	}{
		"create after delete": {queue: []kind{deleted, created}, rest: 1},
		"delete after create": {queue: []kind{created, deleted}},
		"creates":             {queue: []kind{created, created}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var queue []*write
			for _, k := range test.queue {
				queue = append(queue, pending(k))
			}
			if batch, rest := split(queue); len(batch) != 1 || len(rest) != test.rest {
				t.Errorf("took %d writes and left %d, want 1 and %d", len(batch), len(rest), test.rest)
			}
		})
	}
}

// TestRivalsOutliveARefusal: what a write is refused for need not concern its rivals.
func TestRivalsOutliveARefusal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	taken := &claims.Change{Take: claims.Holding{Unique: []string{"taken"}}}
	pending := func(w *write) *write {
		w.kind, w.value, w.ctx, w.done = created, []byte("v"), t.Context(), make(chan outcome, 1)
		return w
	}
	f.db.commit(t.Context(), []*write{pending(&write{key: podKey("holder"), claims: taken})})
	refused, rival := pending(&write{key: podKey("pod"), claims: taken}), pending(&write{key: podKey("pod")})
	refused.rivals = []*write{rival}
	f.db.commit(t.Context(), []*write{refused})
	if got := <-refused.done; !claims.IsRefusal(got.err) {
		t.Errorf("outcome %+v, want a refusal", got)
	}
	if got := <-rival.done; got.err != nil || got.rev == 0 {
		t.Errorf("outcome of the rival: %+v, want success", got)
	}
}
