package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/history"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// cut compacts to a revision and cuts the log there.
func (f *fixture) cut(t *testing.T, at int64) {
	t.Helper()
	if err := f.tryCut(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) tryCut(ctx context.Context, at int64) error {
	if err := f.db.Compact(ctx, at); err != nil {
		return err
	}
	return f.db.withCut(ctx, func(context.Context, *pgx.Conn) (*int64, error) { return &at, nil })
}

// jump makes rev the latest revision, so that few writes reach the next partition.
func (f *fixture) jump(t *testing.T, rev int64) {
	t.Helper()
	if _, err := f.db.pool.Exec(t.Context(), "update meta set rev = $1", rev); err != nil {
		t.Fatal(err)
	}
	f.increaseRevision(t.Context(), t) // and the hub follows
	if err := f.db.catchUp(t.Context(), tailLimit); err != nil {
		t.Fatal(err)
	}
}

// churn makes n writes at random, with few names that come and go.
func (f *fixture) churn(t *testing.T, random *rand.Rand, n int) {
	t.Helper()
	for range n {
		u := &fixtureUser{f, []string{"alice", "bob"}[random.IntN(2)]}
		name := fmt.Sprintf("pod-%d", random.IntN(12))
		found, _, err := f.db.get(t.Context(), podKey(name))
		switch {
		case err != nil:
			t.Fatal(err)
		case found == nil:
			u.create(t, name)
		case random.IntN(4) == 0:
			u.delete(t, name)
		default:
			u.label(t, name, fmt.Sprint(random.Int()))
		}
	}
}

// served is everything a client can find out from a revision on.
type served struct {
	Lists  map[int64]*example.PodList
	Events []watch.Event
	Past   map[string][]string
}

// servedFrom asks s for everything that is to survive a cut at a revision.
func servedFrom(t *testing.T, s *Storage, cut int64) served {
	t.Helper()
	all := served{Lists: map[int64]*example.PodList{}, Past: map[string][]string{}}
	at, err := s.db.revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for rev := cut; rev <= at.rev; rev++ {
		all.Lists[rev] = listPods(t, s, storage.ListOptions{ResourceVersion: fmt.Sprint(rev), ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	}
	w := watchPods(t, s, fmt.Sprint(cut))
	defer w.Stop()
	for last := cut; last < at.rev; {
		event := nextEvent(t, w)
		pod, ok := event.Object.(*example.Pod)
		if !ok {
			t.Fatalf("event %v", event)
		}
		all.Events, last = append(all.Events, event), revisionOf(t, pod)
	}
	for _, pod := range all.Lists[at.rev].Items {
		revisions, err := past{s}.List(t.Context(), podKey(pod.Name), 0, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range revisions {
			all.Past[pod.Name] = append(all.Past[pod.Name], summary(r))
			if r.ResourceVersion < cut {
				break // its state at the cut
			}
		}
	}
	return all
}

// rowsAt returns the revisions that a cut leaves in the log, by its definition.
func rowsAt(t *testing.T, db *Database, cut int64) []int64 {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), `
		select rev from (select distinct on (key) rev, kind from log where rev < $1 order by key, rev desc) state where kind <> 2
		union all select rev from log where rev >= $1 order by rev`, cut)
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	return revisions
}

func allRows(t *testing.T, db *Database) []int64 { return rowsAt(t, db, 0) }

func partitions(t *testing.T, db *Database) []string {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), "select format('%s [%s, %s)', part, lower, upper) from log_partitions()")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What is served is the same after a cut as before, by a replica that has it in memory
// and by one that has to read it.
func TestCutChangesNothingThatIsServed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cuts []int64
		want []string
	}{
		"between partitions": {[]int64{1000000}, []string{
			"log_until_1000000 [0, 1000000)", "log_1 [1000000, 2000000)", "log_2 [2000000, 3000000)", "log_from_3000000 [3000000, 5000000)"}},
		"through a full one": {[]int64{999960}, []string{
			"log_until_999960 [0, 999960)", "log_from_999960 [999960, 1000000)", "log_1 [1000000, 2000000)", "log_2 [2000000, 3000000)", "log_from_3000000 [3000000, 5000000)"}},
		"through the one being written": {[]int64{1000030}, []string{
			"log_until_1000030 [0, 1000030)", "log_from_1000030 [1000030, 2000000)", "log_2 [2000000, 3000000)", "log_from_3000000 [3000000, 5000000)"}},
		"again and again": {[]int64{999950, 999970, 1000000, 1000010, 1000040}, []string{
			"log_until_1000040 [0, 1000040)", "log_from_1000040 [1000040, 2000000)", "log_2 [2000000, 3000000)", "log_from_3000000 [3000000, 5000000)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			random := rand.New(rand.NewPCG(1, uint64(len(name))))
			f.churn(t, random, 50)
			f.jump(t, 999900)
			f.churn(t, random, 200)
			if _, err := f.db.pool.Exec(t.Context(), partitionsQuery); err != nil {
				t.Fatal(err)
			}
			last := test.cuts[len(test.cuts)-1]
			want, rows := servedFrom(t, f.Storage, last), rowsAt(t, f.db, last)

			for _, at := range test.cuts {
				f.cut(t, at)
			}

			if diff := cmp.Diff(rows, allRows(t, f.db)); diff != "" {
				t.Errorf("rows of the log (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, partitions(t, f.db)); diff != "" {
				t.Errorf("partitions (-want +got):\n%s", diff)
			}
			for who, replica := range map[string]*Storage{"same replica": f.Storage, "new replica": newFixtureAt(t, f.dsn).Storage} {
				if diff := cmp.Diff(want, servedFrom(t, replica, last)); diff != "" {
					t.Errorf("%s (-before +after):\n%s", who, diff)
				}
			}
			f.churn(t, random, 20)
		})
	}
}

// A past that has lost its beginning says so, and one that has not says that there was
// nothing before.
func TestPastAfterCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := &fixtureUser{f, "alice"}
	oldCreated := revisionOf(t, alice.create(t, "old"))
	oldMiddle := alice.label(t, "old", "1")
	oldState := alice.label(t, "old", "2")
	calmCreated := revisionOf(t, alice.create(t, "calm"))
	alice.create(t, "gone")
	alice.delete(t, "gone")
	before := time.Now()
	cut := alice.label(t, "old", "3")
	after := time.Now()
	young := revisionOf(t, alice.create(t, "young"))
	f.cut(t, cut)

	reader := pastOf(f)
	for name, test := range map[string]struct {
		pod  string
		want []int64
	}{
		"cut off":   {"old", []int64{cut, oldState}},
		"unchanged": {"calm", []int64{calmCreated}},
		"young":     {"young", []int64{young}},
	} {
		revisions, err := reader.List(t.Context(), podKey(test.pod), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range revisions {
			got = append(got, r.ResourceVersion)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	at := func(pod string, when time.Time) func() (*history.Revision, error) {
		return func() (*history.Revision, error) { return reader.At(t.Context(), podKey(pod), when) }
	}
	get := func(pod string, rev int64) func() (*history.Revision, error) {
		return func() (*history.Revision, error) { return reader.Get(t.Context(), podKey(pod), rev) }
	}
	for name, test := range map[string]struct {
		ask  func() (*history.Revision, error)
		want int64
		err  error
	}{
		"creation that is gone":        {ask: get("old", oldCreated), err: history.ErrExpired},
		"change that is gone":          {ask: get("old", oldMiddle), err: history.ErrExpired},
		"state at the cut":             {ask: get("old", oldState), want: oldState},
		"time of the state at the cut": {ask: at("old", before), want: oldState},
		"time before that":             {ask: at("old", before.Add(-time.Hour)), err: history.ErrExpired},
		"creation that is kept":        {ask: get("calm", calmCreated), want: calmCreated},
		"time before that creation":    {ask: at("calm", before.Add(-time.Hour)), err: history.ErrExpired},
		"time before a young one":      {ask: at("young", after), err: history.ErrNotFound},
		"deleted, time before the cut": {ask: at("gone", before), err: history.ErrExpired},
		"deleted, time after the cut":  {ask: at("gone", after), err: history.ErrNotFound},
	} {
		got, err := test.ask()
		if !errors.Is(err, test.err) || err == nil && got.ResourceVersion != test.want {
			t.Errorf("%s: got %+v, error %v, want %d, error %v", name, got, err, test.want, test.err)
		}
	}
}

// files returns the file that each partition of the log is stored in.
func files(t *testing.T, db *Database) map[string]int64 {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), "select part::text, pg_relation_filenode(part)::bigint from log_partitions()")
	if err != nil {
		t.Fatal(err)
	}
	var (
		found = map[string]int64{}
		name  string
		file  int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&name, &file}, func() error { found[name] = file; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

// What is cut off goes with the files of its partitions. No row is deleted or updated,
// which would leave holes to vacuum and slow writers down; what is kept stays where it is.
func TestCutDropsPartitions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.churn(t, rand.New(rand.NewPCG(5, 5)), 100)
	f.jump(t, 1000000) // into the next partition
	createPod(t, f.Storage, "young")
	before := files(t, f.db)
	f.cut(t, 1000000)
	after := files(t, f.db)
	for name, file := range after {
		if file == before["log_0"] {
			t.Errorf("partition %s is still the old file", name)
		}
	}
	if before["log_0"] == 0 || after["log_until_1000000"] == 0 || after["log_1"] == 0 || after["log_1"] != before["log_1"] {
		t.Errorf("partitions before %v, after %v: want that log_0 is replaced and log_1 kept", before, after)
	}
	var left, changed int
	if err := f.db.pool.QueryRow(t.Context(), "select count(*) from pg_class where relfilenode = $1", before["log_0"]).Scan(&left); err != nil || left != 0 {
		t.Errorf("the old partition is %d tables still, error %v", left, err)
	}
	err := f.db.pool.QueryRow(t.Context(), `
		select sum(pg_stat_get_tuples_deleted(part) + pg_stat_get_tuples_updated(part) + pg_stat_get_dead_tuples(part))
		from log_partitions()`).Scan(&changed)
	if err != nil || changed != 0 {
		t.Errorf("%d rows of the log were deleted or updated, error %v", changed, err)
	}
}

// The server dies after each step of a cut. Nothing may be lost, and the next cut
// must not be bothered by what is left.
func TestCrashDuringCut(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartServer(t)
	f := newFixtureAt(t, postgrestest.NewSchema(t, server.DSN()))
	random := rand.New(rand.NewPCG(2, 2))
	f.churn(t, random, 100)
	at, err := f.db.revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cut := at.rev - 40
	rows, want := allRows(t, f.db), servedFrom(t, f.Storage, cut)
	if err := f.db.Compact(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	steps := []func(tx pgx.Tx) error{
		func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), prepareCutQuery, cut); return err },
		func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), copyBaseQuery, 500); return err },
		func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), copyBaseQuery, 500); return err },
		func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), copyRestQuery, 5); return err },
		func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), makeCutQuery, cut); return err },
	}
	for died := range steps {
		conn, err := pgx.Connect(t.Context(), f.dsn)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range steps[:died+1] {
			tx, err := conn.Begin(t.Context())
			if err == nil {
				err = step(tx)
			}
			if err == nil && i < died {
				err = tx.Commit(t.Context())
			}
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		server.Kill() // before the last step is committed
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
		f.db.pool.Reset()
		if diff := cmp.Diff(rows, allRows(t, f.db)); diff != "" {
			t.Errorf("rows after dying at step %d (-want +got):\n%s", died, diff)
		}
	}
	f.cut(t, cut)
	if diff := cmp.Diff(want, servedFrom(t, newFixtureAt(t, f.dsn).Storage, cut)); diff != "" {
		t.Errorf("served (-before +after):\n%s", diff)
	}
}
