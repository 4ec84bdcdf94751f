package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"platform.dev/stores/pkg/storage/claims"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// roles are the roles that a schema of its own has.
type roles struct {
	admin, ownerDSN, serversDSN string // connection strings
	servers                     string // the name of the role
}

// newRoles makes an empty schema that belongs to an ordinary role, and a role that can
// do nothing.
func newRoles(t *testing.T) *roles {
	t.Helper()
	admin := postgrestest.New(t)
	dsn, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	query := dsn.Query()
	schema := query.Get("search_path")
	r := &roles{admin: admin, servers: schema + "_servers"}
	owner := schema + "_owner"
	r.exec(t, "create role "+owner+" login", "create role "+r.servers+" login", "alter schema "+schema+" owner to "+owner)
	t.Cleanup(func() {
		r.exec(t, "drop owned by "+owner+" cascade", "drop role "+owner, "drop role "+r.servers)
	})
	as := func(user string) string {
		query.Set("user", user)
		dsn.RawQuery = query.Encode()
		return dsn.String()
	}
	r.ownerDSN, r.serversDSN = as(owner), as(r.servers)
	return r
}

// exec runs statements as a superuser.
func (r *roles) exec(t *testing.T, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, r.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// migrate has the owner make the tables and let the servers use them.
func (r *roles) migrate(t *testing.T) {
	t.Helper()
	if err := Migrate(t.Context(), Config{ConnString: r.ownerDSN}, r.servers); err != nil {
		t.Fatal(err)
	}
}

// newRoleFixture is a storage whose role owns nothing.
func newRoleFixture(t *testing.T, options ...fixtureOption) *fixture {
	t.Helper()
	r := newRoles(t)
	r.migrate(t)
	return newFixtureAt(t, r.serversDSN, options...)
}

// TestConformanceOfServerRole runs what needs no look behind the interface as a role that
// owns nothing.
func TestConformanceOfServerRole(t *testing.T) {
	t.Parallel()
	for _, test := range slices.Concat(plainTests(), revisionTests()) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(context.Background(), t, newRoleFixture(t))
		})
	}
}

// TestServerRoleMaintains has a role that owns nothing do what is done in the background.
func TestServerRoleMaintains(t *testing.T) {
	t.Parallel()
	f := newRoleFixture(t, withClaims(claims.Limits{}))
	f.jump(t, 1_999_990) // the next partitions but one are not there yet
	if _, err := f.db.pool.Exec(t.Context(), partitionsQuery); err != nil {
		t.Errorf("making partitions: %v", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	f.churn(t, random, 50)
	last := f.increaseRevision(t.Context(), t)
	for _, at := range []int64{last - 20, 2_000_000} { // through a partition, and between two
		if err := f.tryCut(t.Context(), at); err != nil {
			t.Errorf("cutting the log at revision %d: %v", at, err)
		}
	}
	if err := f.claim(t.Context(), "claiming", "node", "owner"); err != nil {
		t.Errorf("claiming: %v", err)
	}
	if err := f.restoreClaims(t.Context()); err != nil {
		t.Errorf("restoring claims: %v", err)
	}
	f.remove(t, "claiming")
}

func TestServerRoleMayNotMore(t *testing.T) {
	t.Parallel()
	f := newRoleFixture(t)
	createPod(t, f.Storage, "pod")
	for _, statement := range []string{
		"update log set actor = 'somebody else'",
		"delete from log",
		"truncate log",
		"drop table head",
		"alter table head add column mine text",
		"create table mine (id int)",
		"create function mine() returns int language sql as 'select 1'",
		"create or replace function expiry(ttl bigint, before timestamptz) returns timestamptz language sql as 'select null::timestamptz'",
		"insert into meta select * from meta",
		"delete from meta",
		"insert into schema_migrations (version, name) values (1000, 'mine')",
	} {
		t.Run(statement, func(t *testing.T) {
			if _, err := f.db.pool.Exec(t.Context(), statement); !hasCode(err, codeInsufficientPrivilege) {
				t.Errorf("error %v, want that the role may not", err)
			}
		})
	}
}

// TestServerRoleMayNotMisuseCuts calls what cuts the log as a role that owns nothing
// should not: nothing is cut, and nothing of the role's own runs as the owner.
func TestServerRoleMayNotMisuseCuts(t *testing.T) {
	t.Parallel()
	const trapped = "trapped"
	trap := func(table string) string {
		return strings.NewReplacer("TABLE", table).Replace(`
			create temporary table TABLE (like log including all);
			grant all on TABLE to public;
			create function pg_temp.trap() returns trigger language plpgsql as $$
				begin raise exception '` + trapped + ` %', current_user; end $$;
			create trigger trap after insert on TABLE execute function pg_temp.trap()`)
	}
	for name, statements := range map[string][]string{ // statements in which CUT is the last revision
		"nothing prepared":      {"select make_log_cut(CUT)"},
		"nothing copied":        {"select prepare_log_cut(CUT)", "select make_log_cut(CUT)"},
		"not all copied":        {"select prepare_log_cut(CUT)", "select copy_log_base(1)", "select make_log_cut(CUT)"},
		"copied for an earlier": {"select prepare_log_cut(CUT - 1)", "select copy_log_base(9)", "select copy_log_base(9)", "select make_log_cut(CUT)"},
		"not compacted":         {"select prepare_log_cut(CUT + 1)"},
		"forged base":           {"select prepare_log_cut(CUT)", "insert into log_base select * from log where rev < CUT"},
		"forged rest":           {"select prepare_log_cut(CUT)", "insert into log_rest select * from log where rev >= CUT"},
		"forged progress":       {"select prepare_log_cut(CUT)", "update log_copy set copied = true"},
		"own base":              {trap("log_base"), "select copy_log_base(9)"},
		"own rest":              {trap("log_rest"), "select make_log_cut(CUT)"},
		"own rest, prepared":    {trap("log_rest"), "select prepare_log_cut(CUT)", "select make_log_cut(CUT)"},
		"own progress":          {"create temporary table log_copy (cut bigint, upper bigint, last bigint, copied bool)", "insert into log_copy values (CUT, null, 0, true)", "grant all on log_copy to public", "select make_log_cut(CUT)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newRoleFixture(t)
			createPod(t, f.Storage, "pod")
			createPod(t, f.Storage, "other")
			last := revisionOf(t, createPod(t, f.Storage, "last"))
			if err := f.db.Compact(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			rows := allRows(t, f.db)
			conn, err := pgx.Connect(t.Context(), f.dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			for i, statement := range statements {
				_, err := conn.PgConn().Exec(t.Context(), strings.ReplaceAll(statement, "CUT", fmt.Sprint(last))).ReadAll()
				if failed := err != nil; failed != (i == len(statements)-1) {
					t.Errorf("%s: error %v, want one of the last statement", statement, err)
				}
				if err != nil && strings.Contains(err.Error(), trapped) {
					t.Errorf("%s runs what is the role's: %v", statement, err)
				}
			}
			if diff := cmp.Diff(rows, allRows(t, f.db)); diff != "" {
				t.Errorf("rows of the log (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMigratingComesFirst starts a program whose role may not change the schema before
// and after its owner has done so.
func TestMigratingComesFirst(t *testing.T) {
	t.Parallel()
	r := newRoles(t)
	for _, visible := range []bool{false, true} {
		if visible {
			r.exec(t, "grant usage on schema "+strings.TrimSuffix(r.servers, "_servers")+" to "+r.servers)
		}
		db, err := Open(t.Context(), Config{ConnString: r.serversDSN})
		if err == nil {
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "run the command migrate") {
			t.Errorf("opening an empty schema (visible: %t): error %v, want one that tells to run the command migrate", visible, err)
		}
	}
	r.migrate(t)
	r.migrate(t) // changes nothing
	db, err := Open(t.Context(), Config{ConnString: r.serversDSN})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()

	schema := strings.TrimSuffix(r.servers, "_servers")
	r.exec(t, "delete from "+schema+".schema_migrations where version > 2")
	if db, err = Open(t.Context(), Config{ConnString: r.serversDSN}); err == nil {
		db.Close()
	}
	for _, want := range []string{"at version 2", r.servers, "run the command migrate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opening an older schema: error %v, want one with %q", err, want)
		}
	}
}

func TestMigrateErrors(t *testing.T) {
	t.Parallel()
	err := Migrate(t.Context(), Config{ConnString: postgrestest.New(t)}, `no "such" role`)
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("granting to nobody: error %v", err)
	}
}
