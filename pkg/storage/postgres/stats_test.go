package postgres

import (
	"testing"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestStatsFollowChanges has a replica count while another writes. It asks the database
// to count where it cannot know what has changed since.
func TestStatsFollowChanges(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	writer, f := newFixtureAt(t, dsn), newFixtureAt(t, dsn)
	for _, step := range []struct {
		name  string
		do    func()
		want  int64
		again bool // the database may have to count
	}{
		{"the first", func() { createPod(t, f.Storage, "a") }, 1, true},
		{"own creation", func() { createPod(t, f.Storage, "b") }, 2, false},
		{"own update", func() { mustIncrement(t, f.Storage, "b") }, 2, false},
		{"own deletion", func() { deletePod(t, f.Storage, "b") }, 1, false},
		{"another in its place", func() { createPod(t, f.Storage, "b") }, 2, false},
		{"own deletion that has left the hub", func() {
			deletePod(t, f.Storage, "b")
			f.db.hub.restart(f.db.hub.position())
		}, 1, true},
		{"creation after it", func() { createPod(t, f.Storage, "b") }, 2, false},
		{"another resource", func() { f.increaseRevision(t.Context(), t) }, 2, false},
		{"creation elsewhere", func() { createPod(t, writer.Storage, "c") }, 3, true},
		{"deletion elsewhere", func() { deletePod(t, writer.Storage, "a") }, 2, true},
		{"failover that lost a creation", func() {
			createPod(t, f.Storage, "lost")
			if _, err := f.Stats(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := f.db.pool.Exec(t.Context(), `with lost as (delete from head where key = $1 returning mod)
				delete from log using lost where rev = mod`, podKey("lost")); err != nil {
				t.Fatal(err)
			}
			if _, err := f.db.pool.Exec(t.Context(), "update meta set rev = rev - 1, timeline = timeline + 1"); err != nil {
				t.Fatal(err)
			}
			newFixtureAt(t, dsn) // opens new sessions, which notice
		}, 2, true},
		{"creation after the failover", func() { createPod(t, writer.Storage, "d") }, 3, true},
	} {
		step.do()
		f.queries.stats.Store(0)
		stats, err := f.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.ObjectCount != step.want {
			t.Errorf("after %s: %d objects, want %d", step.name, stats.ObjectCount, step.want)
		}
		if f.queries.stats.Load() > 0 && !step.again {
			t.Errorf("after %s the database counted again", step.name)
		}
	}
}
