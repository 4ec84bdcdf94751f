package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/storage/history"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// The benchmarks of the past and of retention run on a million revisions of ten
// thousand objects, on a durable server of their own.
const (
	benchRevisions = 1000000
	benchObjects   = 10000
)

// newGrownFixture returns a storage with benchRevisions made over thirty days, the objects
// in turn. They fill the first partition to its end.
func newGrownFixture(b *testing.B) *fixture {
	b.Helper()
	server := postgrestest.StartServer(b, "shared_buffers=1GB", "max_wal_size=8GB")
	f := newFixtureAt(b, postgrestest.NewSchema(b, server.DSN()), withTransformer(nil))
	value, err := runtime.Encode(f.resource.Codec, largePod("@name"))
	if err != nil {
		b.Fatal(err)
	}
	for _, statement := range []string{
		fmt.Sprintf(`
			insert into log (rev, key, prev, crt, kind, batch, at, actor, value)
			select r, '/pods/ns/pod-' || lpad(o::text, 5, '0'), case when r - 2 < %[2]d then 0 else r - %[2]d end, o + 2,
				case when r - 2 < %[2]d then 0 else 1 end, 0, now() - (%[1]d - r) * interval '30 days' / %[1]d, 'alice',
				convert_to(replace($1, '@name', 'pod-' || lpad(o::text, 5, '0')), 'UTF8')
			from generate_series(2, %[1]d - 1) r, lateral (select (r - 2) %% %[2]d as o) object`, benchRevisions, benchObjects),
		"insert into head (key, mod, crt) select key, rev, crt from log where rev >= " + fmt.Sprint(benchRevisions-benchObjects),
		fmt.Sprintf("update meta set rev = %d, compact_rev = 1", benchRevisions-1),
	} {
		var args []any
		if len(statement) > 200 {
			args = append(args, string(value))
		}
		if _, err := f.db.pool.Exec(b.Context(), statement, args...); err != nil {
			b.Fatal(err)
		}
	}
	for _, statement := range []string{"vacuum (analyze) log", "vacuum (analyze) head", partitionsQuery, "checkpoint"} {
		if _, err := f.db.pool.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.db.catchUp(b.Context(), tailLimit); err != nil {
		b.Fatal(err)
	}
	return f
}

func benchKey(n int) string { return podKey(fmt.Sprintf("pod-%05d", n)) }

// BenchmarkPast reads the past of objects and of all. The target for one object is 50 ms.
func BenchmarkPast(b *testing.B) {
	f := newGrownFixture(b)
	reader := pastOf(f)
	const gone = benchObjects / 10 // the first ones are deleted, as late as can be
	for n := range gone {
		deletePod(b, f.Storage, fmt.Sprintf("pod-%05d", n))
	}
	deleted := func() string { return benchKey(rand.IntN(gone)) }
	living := func() string { return benchKey(gone + rand.IntN(benchObjects-gone)) }
	somewhen := func() time.Time { return time.Now().Add(-rand.N(29 * 24 * time.Hour)) }
	before := time.Now().AddDate(-1, 0, 0)
	for name, ask := range map[string]func(ctx context.Context) error{
		"ObjectAtTime": func(ctx context.Context) error {
			_, err := reader.At(ctx, living(), somewhen())
			return err
		},
		"DeletedObjectAtTime": func(ctx context.Context) error {
			_, err := reader.At(ctx, deleted(), somewhen())
			return err
		},
		"ObjectAtRevision": func(ctx context.Context) error {
			_, err := reader.AtRevision(ctx, living(), benchObjects+3+rand.Int64N(benchRevisions-benchObjects-3))
			return err
		},
		"NoObjectAtTime": func(ctx context.Context) error {
			if _, err := reader.At(ctx, deleted(), before); !errors.Is(err, history.ErrNotFound) {
				return fmt.Errorf("before the first object: %w", err)
			}
			return nil
		},
		"HistoryOf100Revisions": func(ctx context.Context) error {
			_, err := reader.List(ctx, living(), 0, 100)
			return err
		},
		"RevisionAtTime": func(ctx context.Context) error {
			_, err := reader.RevisionAt(ctx, time.Now().Add(-rand.N(29*24*time.Hour)))
			return err
		},
		"All10000AtRevision": func(ctx context.Context) error {
			state, err := reader.State(ctx, "/pods", benchRevisions/10+rand.Int64N(benchRevisions/10*9))
			if err == nil && len(state) != benchObjects {
				return fmt.Errorf("%d objects, want %d", len(state), benchObjects)
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				if err := ask(b.Context()); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}

// BenchmarkWritesDuringCut compares the slowest hundredth of the updates of 16 clients
// while a million revisions are taken from the log with those just before and after.
// The target is 1.5 times as long at most.
func BenchmarkWritesDuringCut(b *testing.B) {
	for b.Loop() {
		f := newGrownFixture(b)
		var mu sync.Mutex
		var took []time.Duration
		// phase measures until it is told to stop.
		phase := func(during func()) time.Duration {
			mu.Lock()
			took = nil
			mu.Unlock()
			during()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(took)
			b.Logf("%d updates, median %v", len(took), took[len(took)/2])
			return took[len(took)*99/100]
		}
		ctx, stop := context.WithCancel(b.Context())
		var writing sync.WaitGroup
		for client := range 16 {
			writing.Go(func() {
				for i := client; ctx.Err() == nil; i = (i + 16) % benchObjects {
					begin := time.Now()
					if _, err := increment(context.Background(), f.Storage, fmt.Sprintf("pod-%05d", i)); err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					took = append(took, time.Since(begin))
					mu.Unlock()
				}
			})
		}
		sleep(ctx, 2*time.Second) // to warm up
		before := phase(func() { sleep(ctx, 10*time.Second) })
		var cutting time.Duration
		during := phase(func() {
			begin := time.Now()
			cut := int64(benchRevisions)
			if err := f.db.Compact(ctx, cut); err != nil {
				b.Error(err)
			}
			if err := f.db.withCut(ctx, func(context.Context, *pgx.Conn) (*int64, error) { return &cut, nil }); err != nil {
				b.Error(err)
			}
			cutting = time.Since(begin)
		})
		after := phase(func() { sleep(ctx, 10*time.Second) })
		stop()
		writing.Wait()
		normal := (before + after) / 2
		b.ReportMetric(float64(normal.Microseconds())/1000, "ms-p99-normal")
		b.ReportMetric(float64(during.Microseconds())/1000, "ms-p99-cutting")
		b.ReportMetric(float64(during)/float64(normal), "ratio")
		b.ReportMetric(cutting.Seconds(), "s-cutting")
	}
}
