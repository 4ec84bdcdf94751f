package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
