package postgres

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"platform.dev/stores/pkg/storage/history"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// asked is the context of a request as the API server makes it.
func asked(ctx context.Context, id types.UID, verb string) context.Context {
	ctx = history.WithSource(audit.WithAuditContext(ctx), []string{"203.0.113.7", "10.0.0.1"})
	audit.WithAuditID(ctx, id)
	ctx = request.WithUser(ctx, &user.DefaultInfo{Name: "alice"})
	return request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, Verb: verb})
}

// Writes that are decided together and those decided one by one must both be noted.
func TestHistoryTellsTheRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.Create(asked(t.Context(), "id-1", "create"), podKey("shop"), newPod("shop"), nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := increment(asked(t.Context(), "id-2", "patch"), f.Storage, "shop"); err != nil {
		t.Fatal(err)
	}
	// The server decides a batch one by one if it conflicts, as this one does.
	deleting := &write{kind: deleted, key: podKey("shop"), expect: 3, actor: "alice", auditID: "id-3", verb: "deletecollection", source: "10.0.0.2"}
	conflicting := &write{kind: updated, key: podKey("none"), expect: 1, value: []byte("x")}
	if changes, err := f.db.attempt(t.Context(), []*write{deleting, conflicting}); err != nil || len(changes) != 1 {
		t.Fatalf("%d changes, error %v", len(changes), err)
	}
	nobody := createPod(t, f.Storage, "shop")

	got, err := f.db.History(t.Context(), podKey("shop"), 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []Revision{
		{ResourceVersion: revisionOf(t, nobody), Key: podKey("shop"), Verb: history.Create},
		{ResourceVersion: 4, Key: podKey("shop"), Verb: history.Delete, Actor: "alice", AuditID: "id-3", Asked: "deletecollection", Source: "10.0.0.2"},
		{ResourceVersion: 3, Key: podKey("shop"), Verb: history.Update, Actor: "alice", AuditID: "id-2", Asked: "patch", Source: "203.0.113.7,10.0.0.1"},
		{ResourceVersion: 2, Key: podKey("shop"), Verb: history.Create, Actor: "alice", AuditID: "id-1", Asked: "create", Source: "203.0.113.7,10.0.0.1"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Revision{}, "Time", "Value")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// oldStatement is a statement as the last program sent it that knew of no requests.
func oldStatement(t *testing.T, name string) string {
	t.Helper()
	sql, err := os.ReadFile(filepath.Join("testdata", "before_audit", name+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	return string(sql)
}

// While replicas are replaced one after the other, the old ones go on with what they
// have prepared, on the schema of the new ones.
func TestOldProgramRunsOnTheNewSchema(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	old, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = old.Close(context.WithoutCancel(t.Context())) })
	migrations, err := loadMigrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := pgx.BeginFunc(t.Context(), old, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "create table schema_migrations (version int primary key, name text not null, applied_at timestamptz not null default now())"); err != nil {
			return err
		}
		return applyMigrations(t.Context(), tx, migrations[:4])
	}); err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		var batch pgx.Batch
		one := []int64{1}
		write := func(name string, args ...any) {
			batch.Queue(oldStatement(t, "advance"), 1)
			batch.Queue(oldStatement(t, name), args...)
		}
		last := scanInt(t, old, "select rev from meta")
		write("create", 7, 1, one, []string{"/old"}, [][]byte{{1}}, one, []string{"alice"})
		write("update", 7, 1, one, []string{"/old"}, [][]byte{{2}}, one, []string{"alice"}, []int64{last + 1})
		write("delete", 7, 1, one, []string{"/old"}, []string{"alice"}, []int64{last + 2})
		batch.Queue(oldStatement(t, "apply_batch"), 7, []kind{created, deleted}, []string{"/one", "/one"}, []int64{0, last + 4},
			[][]byte{{1}, nil}, []int64{0, 0}, []string{"bob", "bob"}, []*claimsParameter{nil, nil})
		batch.Queue("select o_rev from apply_batch($1, $2, $3, $4, $5, $6, $7)", 7, []kind{created}, []string{"/two"}, []int64{0},
			[][]byte{{1}}, []int64{1}, []string{"bob"})
		batch.Queue("delete from head")
		batch.Queue(oldStatement(t, "tail"), last, 10)
		batch.Queue(oldStatement(t, "history"), "/", "0", 10)
		batch.Queue(partitionsQuery)
		if err := old.SendBatch(t.Context(), &batch).Close(); err != nil {
			t.Fatal(err)
		}
		if got := scanInt(t, old, "select rev from meta"); got != last+6 {
			t.Errorf("made %d revisions, want 6", got-last)
		}
	}
	run()
	f := newFixtureAt(t, dsn)
	run()
	createPod(t, f.Storage, "new")
	run()
	checkDense(t, f.db)
}

func scanInt(t *testing.T, conn *pgx.Conn, query string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
