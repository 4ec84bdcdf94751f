package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// tailRecorder notes the limits of the queries of the log that are made in a context
// with it.
type tailRecorder struct{ limits []int }

type tailRecorderKey struct{}

func (r *tailRecorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL == tailQuery && ctx.Value(tailRecorderKey{}) == r {
		r.limits = append(r.limits, data.Args[2].(int))
	}
	return ctx
}

func (r *tailRecorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestCatchUpGathersPace reads a backlog as after a read that took too long: the first
// part is one change, to get anywhere, but not all of them are.
func TestCatchUpGathersPace(t *testing.T) {
	t.Parallel()
	var recorder tailRecorder
	db, err := Open(t.Context(), Config{ConnString: postgrestest.New(t), Tracer: &recorder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := newPodStorage(t, db)
	behind := &Database{pool: db.pool, hub: newHub(db.hub.position())}
	for i := range 10 {
		createPod(t, s, fmt.Sprint("pod-", i))
	}
	if err := behind.catchUp(context.WithValue(t.Context(), tailRecorderKey{}, &recorder), 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 4, 8}, recorder.limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if got, want := behind.hub.position().rev, db.hub.position().rev; got != want {
		t.Errorf("caught up to revision %d, want %d", got, want)
	}
}

// TestCatchUpReadsWhatIsMissing has changes of its own above a gap, as a replica does
// when another has written between: they are kept with what is known of them.
func TestCatchUpReadsWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	start := f.db.hub.position()
	behind := &Database{pool: f.db.pool, hub: newHub(start)}
	for i := range 6 {
		createPod(t, f.Storage, fmt.Sprint("pod-", i))
	}
	own := changesAt(start.rev+2, start.rev+3, start.rev+5)
	behind.hub.publish(own)
	if err := behind.catchUp(t.Context(), tailLimit); err != nil {
		t.Fatal(err)
	}
	if got, want := behind.hub.position().rev, f.db.hub.position().rev; got != want {
		t.Errorf("caught up to revision %d, want %d", got, want)
	}
	for _, c := range own {
		if behind.hub.find(c.rev) != c {
			t.Errorf("revision %d was read although it was there", c.rev)
		}
	}
}

// TestBusyPoolIsNoSilence: connections are thrown away that nobody answers on, not those
// that others use.
func TestBusyPoolIsNoSilence(t *testing.T) {
	t.Parallel()
	config := Config{ConnString: postgrestest.New(t), MaxConns: 4}
	poolConfig, err := config.poolConfig()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), poolConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	d := &Database{pool: pool, hub: newHub(position{})}
	if !d.unanswered(fmt.Errorf("reading: %w", context.DeadlineExceeded)) {
		t.Error("a query without an answer is taken for something else")
	}

	var held []*pgxpool.Conn
	for range config.MaxConns {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Release)
		held = append(held, conn)
	}
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	err = d.catchUp(over, tailLimit)
	if err == nil || d.unanswered(err) {
		t.Errorf("error %v is taken for dead connections", err)
	}
	held[0].Release()
	if !d.unanswered(err) {
		t.Error("an idle connection that could not be had is not taken for dead")
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
