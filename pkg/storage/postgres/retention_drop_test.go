package postgres

import (
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"
)

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
