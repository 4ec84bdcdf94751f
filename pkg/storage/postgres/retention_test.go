package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
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

// What is cut when, by age and by size. Revision r from 2 to 401 is made (401-r)/10 days ago,
// so that there are ten a day.
func TestLogCut(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	const rows, perDay = 400, 10
	for name, test := range map[string]struct {
		age       time.Duration
		share     float64 // of the log's size, 0 for no bound
		from      int64   // a cut made before
		compacted int64
		jump      bool // the last 300 revisions are in the second partition
		least     int64
		most      int64 // 0 for no cut
	}{
		"nothing asked for":       {},
		"all young":               {age: 41 * day},
		"half old":                {age: 20 * day, least: 201, most: 202},
		"half old, just cut":      {age: 20 * day, from: 201},
		"half old, cut long ago":  {age: 20 * day, from: 150, least: 201, most: 202},
		"an eighth above the age": {age: 20 * day, from: 178},
		"old but not compacted":   {age: 20 * day, compacted: 120, least: 120, most: 120},
		"partition a little old":  {age: 28 * day, jump: true, least: 1000000, most: 1000000},
		"partition too old":       {age: 10 * day, jump: true, least: 1000000 + 199, most: 1000000 + 201},
		"small enough":            {share: 1.01},
		"too large":               {share: 0.9, least: 80, most: 200},
		"both, age cuts more":     {age: 5 * day, share: 0.9, least: 351, most: 352},
		"both, size cuts more":    {age: 39 * day, share: 0.5, least: 200, most: 330},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			exec := func(sql string, args ...any) {
				t.Helper()
				if _, err := f.db.pool.Exec(t.Context(), sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec(`insert into log (rev, key, prev, crt, kind, batch, at, actor, value)
				select r, '/k', r - 1, 2, 1, 0, now() - (401 - r) * interval '1 day' / $1, '', repeat('x', 2000)::bytea
				from generate_series(2, 1 + $2::int) r`, perDay, rows)
			last := int64(rows + 1)
			if test.jump {
				exec("insert into log select rev + 1000000 - 102, key, prev, crt, kind, batch, at, actor, value from log where rev >= 102")
				exec("delete from log where rev between 102 and 999999")
				last += 1000000 - 102
			}
			exec("update meta set rev = $1", last)
			if test.from > 0 {
				f.cut(t, test.from)
			}
			if test.compacted == 0 {
				test.compacted = last
			}
			exec("update meta set compact_rev = $1", test.compacted)
			var age *time.Duration
			if test.age > 0 {
				age = &test.age
			}
			var got, size *int64
			if test.share > 0 {
				if err := f.db.pool.QueryRow(t.Context(), "select (sum(pg_total_relation_size(part)) * $1::float8)::bigint from log_partitions() where lower <= $2",
					test.share, last).Scan(&size); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.db.pool.QueryRow(t.Context(), logCutQuery, age, size).Scan(&got); err != nil {
				t.Fatal(err)
			}
			switch {
			case got == nil && test.most > 0:
				t.Errorf("no cut, want one from %d to %d", test.least, test.most)
			case got != nil && (*got < test.least || *got > test.most):
				t.Errorf("cut at %d, want from %d to %d", *got, test.least, test.most)
			}
		})
	}
}

// The two limits reach the log through the options, and the cut is not repeated.
func TestRetentionIsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 20 {
		createPod(t, f.Storage, fmt.Sprintf("pod-%d", i))
		deletePod(t, f.Storage, fmt.Sprintf("pod-%d", i))
	}
	if _, err := f.db.pool.Exec(t.Context(), "update log set at = at - interval '40 days' where rev <= 21"); err != nil {
		t.Fatal(err)
	}
	if err := f.db.Compact(t.Context(), f.db.hub.position().rev); err != nil {
		t.Fatal(err)
	}
	f.db.config.HistoryRetention = 30 * 24 * time.Hour
	for range 2 {
		if err := f.db.cutLog(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := f.db.History(t.Context(), "/pods/", 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 20 || got[19].ResourceVersion != 22 {
			t.Errorf("%d revisions left, the first is %d", len(got), got[len(got)-1].ResourceVersion)
		}
	}
}

func TestRevisionAt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	revisionAt := func(at time.Time) (rev int64) {
		t.Helper()
		if err := f.db.pool.QueryRow(t.Context(), revisionAtQuery, at).Scan(&rev); err != nil {
			t.Fatal(err)
		}
		return rev
	}
	if got := revisionAt(base); got != 1 {
		t.Errorf("revision %d of an empty log, want 1", got)
	}
	// Revision r from 10 on is of minute r, 40 to 69 are missing.
	if _, err := f.db.pool.Exec(t.Context(), `
		insert into log (rev, key, prev, crt, kind, batch, at, actor)
		select r, '/k', 0, r, 0, 0, $1::timestamptz + r * interval '1 minute', ''
		from generate_series(10, 99) r where r not between 40 and 69`, base); err != nil {
		t.Fatal(err)
	}
	if _, err := f.db.pool.Exec(t.Context(), "update meta set rev = 99"); err != nil {
		t.Fatal(err)
	}
	for minute := 5; minute <= 105; minute++ {
		want := int64(minute)
		switch {
		case minute < 10:
			want = 9
		case minute >= 39 && minute < 70:
			want = 69 // as good as any from 39 on: nothing lies between
		case minute > 99:
			want = 99
		}
		if got := revisionAt(base.Add(time.Duration(minute)*time.Minute + time.Second)); got != want && (want != 69 || got < 39 || got > 69) {
			t.Errorf("minute %d: revision %d, want %d", minute, got, want)
		}
	}
}

func TestPartitionsGrowWithTheLoad(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	// 2,500,000 revisions in the last day.
	if _, err := f.db.pool.Exec(t.Context(), "insert into log (rev, key, prev, crt, kind, batch, actor) select r, '/k', 0, r, 0, 0, '' from generate_series(2, 2500000, 100000) r"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.db.pool.Exec(t.Context(), "update meta set rev = 2500000"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.db.pool.Exec(t.Context(), partitionsQuery); err != nil {
			t.Fatal(err)
		}
		want := []string{"log_0 [0, 1000000)", "log_1 [1000000, 2000000)", "log_2 [2000000, 3000000)",
			"log_from_3000000 [3000000, 6000000)", "log_from_6000000 [6000000, 9000000)"}
		if diff := cmp.Diff(want, partitions(t, f.db)); diff != "" {
			t.Errorf("partitions (-want +got):\n%s", diff)
		}
	}
}

func TestBrokenOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		changes []int64
		at      int64
		want    bool
	}{
		"nothing new":           {nil, 5, false},
		"next":                  {[]int64{6, 7}, 7, false},
		"jump":                  {[]int64{9}, 9, true},
		"jump without a change": {nil, 9, true},
		"gap after the next":    {[]int64{6, 9, 10}, 10, true},
	} {
		if got := brokenOff(5, changesAt(test.changes...), position{rev: test.at}); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
