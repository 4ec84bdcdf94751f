package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/claims"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// withClaims has a pod hold the node it names alone, and a place of its owner.
func withClaims(limits claims.Limits) fixtureOption {
	return func(r *Resource) {
		r.Claims = &claims.Rules{
			Holding: podHolding,
			Limits:  func(context.Context, runtime.Object) (claims.Limits, error) { return limits, nil },
		}
	}
}

func podHolding(obj runtime.Object) claims.Holding {
	pod := obj.(*example.Pod)
	var h claims.Holding
	if pod.Spec.NodeName != "" {
		h.Unique = []string{"node/" + pod.Spec.NodeName}
	}
	if owner := pod.Labels["owner"]; owner != "" {
		h.Counted = []string{"owner/" + owner}
	}
	return h
}

func claimingPod(name, node, owner string) *example.Pod {
	pod := newPod(name)
	pod.Spec.NodeName = node
	pod.Labels = map[string]string{"owner": owner}
	return pod
}

func ownerLimit(owner string, limit int64) claims.Limits {
	return claims.Limits{Counts: []claims.Limit{{Name: "owner/" + owner, Max: limit, Source: "a test"}}}
}

func (f *fixture) claim(ctx context.Context, name, node, owner string) error {
	return f.Create(ctx, podKey(name), claimingPod(name, node, owner), nil, 0)
}

func (f *fixture) move(t *testing.T, name, node string) error {
	t.Helper()
	return f.GuaranteedUpdate(t.Context(), podKey(name), &example.Pod{}, false, nil, storage.SimpleUpdate(
		func(obj runtime.Object) (runtime.Object, error) {
			obj.(*example.Pod).Spec.NodeName = node // in place, as registries do
			return obj, nil
		}), nil)
}

func (f *fixture) remove(t *testing.T, name string) {
	t.Helper()
	if err := f.Delete(t.Context(), podKey(name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// checkClaims fails unless the database holds exactly the claims of the living pods.
func (f *fixture) checkClaims(t *testing.T) {
	t.Helper()
	want := []string{}
	for _, pod := range listPods(t, f.Storage, storage.ListOptions{}).Items {
		h := podHolding(&pod)
		for _, name := range append(h.Unique, h.Counted...) {
			want = append(want, podKey(pod.Name)+" "+claimName(name))
		}
	}
	rows, err := f.db.pool.Query(t.Context(), "select key || ' ' || name from claim")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestUniqueClaims(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withClaims(claims.Limits{}))
	long := strings.Repeat("ü", 2000)
	steps := []struct {
		name  string
		do    func() error
		taken string
	}{
		{"the first gets it", func() error { return f.claim(t.Context(), "a", "n1", "") }, ""},
		{"the second does not", func() error { return f.claim(t.Context(), "b", "n1", "") }, "node/n1"},
		{"another is free", func() error { return f.claim(t.Context(), "b", "n2", "") }, ""},
		{"nor by an update", func() error { return f.move(t, "b", "n1") }, "node/n1"},
		{"an update swaps", func() error { return f.move(t, "a", "n3") }, ""},
		{"what it left is free", func() error { return f.move(t, "b", "n1") }, ""},
		{"and so on", func() error { return f.claim(t.Context(), "c", "n2", "") }, ""},
		{"its own is no obstacle", func() error { return f.move(t, "c", "n2") }, ""},
		{"deleting frees", func() error { f.remove(t, "a"); return f.claim(t.Context(), "d", "n3", "") }, ""},
		{"a name longer than an index entry", func() error { return f.claim(t.Context(), "e", long, "") }, ""},
		{"and its second", func() error { return f.claim(t.Context(), "f", long, "") }, "node/" + long},
		{"a name that no text holds", func() error { return f.claim(t.Context(), "g", "\x00", "") }, ""},
	}
	for _, step := range steps {
		err := step.do()
		var taken *claims.TakenError
		switch {
		case step.taken == "" && err != nil:
			t.Fatalf("%s: %v", step.name, err)
		case step.taken != "" && (!errors.As(err, &taken) || taken.Name != step.taken):
			t.Fatalf("%s: error %v, want that %q is taken", step.name, err, step.taken)
		}
		f.checkClaims(t)
	}
}

// TestClaimsAreExact has two replicas create more than there is room for. Names that
// exist already are among them: those are told so and take no place.
func TestClaimsAreExact(t *testing.T) {
	t.Parallel()
	const writers, rounds, limit = 16, 25, 37
	dsn := postgrestest.New(t)
	limits := withClaims(ownerLimit("o", limit))
	replicas := []*fixture{newFixtureAt(t, dsn, limits), newFixtureAt(t, dsn, limits)}
	if err := replicas[0].claim(t.Context(), "first", "", "o"); err != nil {
		t.Fatal(err)
	}
	var won, exceeded, exist atomic.Int64
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			f := replicas[i%2]
			for round := range rounds {
				err := f.claim(context.Background(), fmt.Sprintf("pod-%d-%d", i, round), fmt.Sprintf("n%d", i*rounds+round), "o")
				var e *claims.ExceededError
				switch {
				case err == nil:
					won.Add(1)
				case errors.As(err, &e) && e.Used >= limit && e.Max == limit && e.Source == "a test":
					exceeded.Add(1)
				default:
					t.Errorf("creating: %v", err)
				}
				if storage.IsExist(f.claim(context.Background(), "first", "", "o")) {
					exist.Add(1)
				}
			}
		})
	}
	all.Wait()
	if won.Load() != limit-1 || exceeded.Load() != writers*rounds-limit+1 || exist.Load() != writers*rounds {
		t.Errorf("%d of %d places taken, %d refused; %d of %d told that the name exists",
			won.Load(), limit-1, exceeded.Load(), exist.Load(), writers*rounds)
	}
	replicas[0].checkClaims(t)
	checkDense(t, replicas[0].db)

	replicas[0].remove(t, "first")
	if err := replicas[1].claim(t.Context(), "last", "", "o"); err != nil {
		t.Errorf("after a place became free: %v", err)
	}
	counts, err := replicas[0].db.Count(t.Context(), "owner/o", "owner/nobody")
	if err != nil || counts["owner/o"] != limit || counts["owner/nobody"] != 0 {
		t.Errorf("counts %v, error %v", counts, err)
	}
}

func TestRateClaims(t *testing.T) {
	t.Parallel()
	rate := claims.Rate{Name: "creates", Count: 2, Window: time.Hour, Source: "a test"}
	f := newFixture(t, withClaims(claims.Limits{Rates: []claims.Rate{rate}}))
	create := func(name string) error { return f.claim(t.Context(), name, "", "") }
	for _, name := range []string{"a", "b"} {
		if err := create(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := create("a"); !storage.IsExist(err) {
		t.Errorf("an existing name: %v", err)
	}
	f.remove(t, "a") // gives nothing back
	var refused *claims.RateError
	if err := create("c"); !errors.As(err, &refused) {
		t.Fatalf("error %v, want a rate's", err)
	}
	if refused.Used != 2 || refused.Rate != rate || refused.Wait <= 59*time.Minute || refused.Wait > time.Hour || refused.Next.IsZero() {
		t.Errorf("refused with %+v", refused)
	}
	if err := f.move(t, "b", "n"); err != nil {
		t.Errorf("an update is no creation: %v", err)
	}
	if spent, err := f.db.Spent(t.Context(), rate); err != nil || spent != 2 {
		t.Errorf("%d spent, error %v", spent, err)
	}
	if _, err := f.db.pool.Exec(t.Context(), "update claim_rate set at = at - interval '1h', until = until - interval '1h'"); err != nil {
		t.Fatal(err)
	}
	if err := create("c"); err != nil {
		t.Errorf("after the window: %v", err)
	}
	var rows int
	if err := f.db.pool.QueryRow(t.Context(), "select count(*) from claim_rate").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows kept, want those of the window alone; error %v", rows, err)
	}
}

// TestRefusedClaimsHurtNobodyElse sends one batch of which the database refuses parts,
// with a write without claims whose condition holds, and one whose does not.
func TestRefusedClaimsHurtNobodyElse(t *testing.T) {
	t.Parallel()
	take := func(node string) *claims.Change {
		return &claims.Change{Take: claims.Holding{Unique: []string{node}}}
	}
	for name, test := range map[string]struct {
		last *write
		want []string // applied, in order of the revisions
	}{
		"sets":       {&write{kind: created, key: podKey("f"), value: []byte("v")}, []string{"c", "f", "a", "e"}},
		"one by one": {&write{kind: deleted, key: podKey("f"), expect: 1}, []string{"a", "c", "e"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, withClaims(claims.Limits{}))
			b := &batchAttempt{id: 4720, writes: []*write{
				{kind: created, key: podKey("a"), value: []byte("v"), claims: take("n")},
				{kind: created, key: podKey("b"), value: []byte("v"), claims: take("n")},
				{kind: created, key: podKey("c"), value: []byte("v")},
				{kind: updated, key: podKey("d"), value: []byte("v"), expect: 1, claims: take("m")},
				{kind: created, key: podKey("e"), value: []byte("v"), claims: take("m")},
				test.last,
			}}
			changes, err := f.db.send(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			base := changes[0].rev
			var applied []string
			for i, c := range changes {
				if applied = append(applied, strings.TrimPrefix(c.key, podKey(""))); c.rev != base+int64(i) {
					t.Errorf("%s has revision %d, want %d", c.key, c.rev, base+int64(i))
				}
			}
			if diff := cmp.Diff(test.want, applied); diff != "" {
				t.Errorf("applied (-want +got):\n%s", diff)
			}
			for i, w := range b.writes {
				if refused := errors.As(w.refused, new(*claims.TakenError)); refused != (i == 1) {
					t.Errorf("write %d is refused with %v", i, w.refused)
				}
			}
			checkDense(t, f.db)

			// The answer is lost: what was not applied is not reported as a conflict.
			if changes, err = f.db.resolve(t.Context(), b, io.ErrUnexpectedEOF); err != nil || len(changes) != len(test.want) {
				t.Fatalf("found %d changes, error %v", len(changes), err)
			}
			for i, w := range b.writes {
				if apierrors.IsServiceUnavailable(w.refused) != (i == 1 || i == 3) {
					t.Errorf("write %d is answered %v", i, w.refused)
				}
			}
		})
	}
}

func TestCheckTakesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withClaims(claims.Limits{}))
	if err := f.claim(t.Context(), "a", "n", "o"); err != nil {
		t.Fatal(err)
	}
	rate := []claims.Rate{{Name: "r", Count: 1, Window: time.Hour}}
	for name, test := range map[string]struct {
		change claims.Change
		want   error
	}{
		"free":     {claims.Change{Take: claims.Holding{Unique: []string{"node/m"}}, Limits: claims.Limits{Rates: rate}}, nil},
		"taken":    {claims.Change{Take: claims.Holding{Unique: []string{"node/m", "node/n"}}}, &claims.TakenError{Name: "node/n"}},
		"exceeded": {claims.Change{Limits: ownerLimit("o", 1)}, &claims.ExceededError{Limit: ownerLimit("o", 1).Counts[0], Used: 1}},
	} {
		for range 2 {
			if diff := cmp.Diff(test.want, f.db.Check(t.Context(), test.change)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	f.checkClaims(t)
}

// TestRestoreClaims opens a database whose objects were written, changed and deleted by
// a program that knows of no claims.
func TestRestoreClaims(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	before := newFixtureAt(t, dsn)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2*claimScanBatch + 5 {
		must(before.claim(t.Context(), fmt.Sprintf("pod-%d", i), fmt.Sprintf("n%d", i), "o"))
	}
	f := newFixtureAt(t, dsn, withClaims(ownerLimit("o", 2)))
	f.checkClaims(t)
	if err := f.claim(t.Context(), "new", "n0", "p"); !errors.As(err, new(*claims.TakenError)) {
		t.Errorf("a name of before: %v, want that it is taken", err)
	}
	if err := f.claim(t.Context(), "new", "m", "o"); !errors.As(err, new(*claims.ExceededError)) {
		t.Errorf("an owner of before: %v, want that there is no place", err)
	}

	// The other goes on for a while.
	must(before.move(t, "pod-0", "moved"))
	must(before.claim(t.Context(), "late", "n0", "o"))
	before.remove(t, "pod-1")
	must(f.restoreClaims(t.Context()))
	f.checkClaims(t)

	// Two hold one name: it is the older one's, and restoring goes on.
	must(before.claim(t.Context(), "clash", "n2", "q"))
	must(f.restoreClaims(t.Context()))
	f.remove(t, "clash")
	f.checkClaims(t)
}

// TestClaimsSurviveCrashes kills the database under writers that come and go. No claim
// may be left without its object, and no object without its claims.
func TestClaimsSurviveCrashes(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartServer(t)
	f := newFixtureAt(t, postgrestest.NewSchema(t, server.DSN()), withClaims(ownerLimit("o", 6)))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var steps atomic.Int64
	var writing sync.WaitGroup
	for i := range 8 {
		writing.Go(func() {
			name := fmt.Sprintf("pod-%d", i)
			for round := 0; ctx.Err() == nil; round++ {
				// Nobody leaves early: a write whose author has gone may still come.
				err := f.claim(context.Background(), name, fmt.Sprintf("n%d", (i+round)%8), "o")
				if err == nil {
					steps.Add(1)
				}
				err = f.Delete(context.Background(), podKey(name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
				if apierrors.IsServiceUnavailable(err) {
					sleep(ctx, 10*time.Millisecond)
				}
			}
		})
	}
	for range 3 {
		waitForMore(t, &steps, 100)
		server.Kill()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	waitForMore(t, &steps, 100)
	stop()
	writing.Wait()
	f.checkClaims(t)
}
