package postgres

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
)

// TestErrorsOfTheDatabase has the database fail a write with each code and looks at what
// the author of a request gets to read.
func TestErrorsOfTheDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const secret = "of role stores in /var/lib"
	for _, test := range []struct {
		name, code string
		status     int32
		message    string
	}{
		{"no connection", "08006", http.StatusServiceUnavailable, "connection lost"},
		{"read only after a failover", "25006", http.StatusServiceUnavailable, "read-only"},
		{"a standby", "55000", http.StatusServiceUnavailable, "read-only"},
		{"serialization failure", "40001", http.StatusServiceUnavailable, "in the way of another"},
		{"deadlock", "40P01", http.StatusServiceUnavailable, "in the way of another"},
		{"resources", "53000", http.StatusServiceUnavailable, "out of resources"},
		{"disk full", "53100", http.StatusServiceUnavailable, "disk is full"},
		{"out of memory", "53200", http.StatusServiceUnavailable, "out of memory"},
		{"too many connections", "53300", http.StatusServiceUnavailable, "too many connections"},
		{"lock timeout", "55P03", http.StatusServiceUnavailable, "lock was held"},
		{"canceled", "57014", http.StatusServiceUnavailable, "statement_timeout"},
		{"administrator", "57P01", http.StatusServiceUnavailable, "shutting down"},
		{"crash", "57P02", http.StatusServiceUnavailable, "shutting down"},
		{"starting", "57P03", http.StatusServiceUnavailable, "starting"},
		{"a fault of the program", "42883", http.StatusInternalServerError, "Internal error"},
		{"a broken disk", "58030", http.StatusInternalServerError, "Internal error"},
	} {
		// One after the other: they share the function that fails.
		_, err := f.db.pool.Exec(t.Context(), `create or replace function expiry(ttl bigint, before timestamptz) returns timestamptz
			language plpgsql as $$ begin raise exception '`+secret+`' using errcode = '`+test.code+`'; end $$`)
		if err != nil {
			t.Fatal(err)
		}
		err = f.claim(t.Context(), "pod", "", "")
		checkAnswer(t, test.name, err, test.status, test.message)
		if test.status == http.StatusServiceUnavailable && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the client reads what the database says: %v", test.name, err)
		}
		if err := f.Get(t.Context(), podKey("pod"), storage.GetOptions{}, &example.Pod{}); !storage.IsNotFound(err) {
			t.Errorf("%s: reading what was not written: %v", test.name, err)
		}
	}
}

// checkAnswer checks what the author of a request gets to read of an error. One that
// passes tells to try again, and when.
func checkAnswer(t *testing.T, name string, err error, code int32, message string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", name)
		return
	}
	status := responsewriters.ErrorToAPIStatus(storeerr.InterpretCreateError(err, schema.GroupResource{Resource: "pods"}, name))
	if status.Code != code || !strings.Contains(status.Message, message) {
		t.Errorf("%s: the answer is %d %q, want %d with %q", name, status.Code, status.Message, code, message)
	}
	if code != http.StatusServiceUnavailable {
		return
	}
	if !strings.Contains(status.Message, "nothing was changed, try again") || status.Details == nil || status.Details.RetryAfterSeconds == 0 {
		t.Errorf("%s: the answer %q, %+v does not tell when to try again", name, status.Message, status.Details)
	}
}

// TestStatementsThatEndEarly has real locks, limits and administrators end statements.
func TestStatementsThatEndEarly(t *testing.T) {
	t.Parallel()
	create := func(f *fixture) error { return f.claim(context.Background(), "new", "", "") }
	get := func(f *fixture) error {
		return f.Get(context.Background(), podKey("pod"), storage.GetOptions{}, &example.Pod{})
	}
	list := func(f *fixture) error {
		return f.GetList(context.Background(), "/pods", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, &example.PodList{})
	}
	for name, test := range map[string]struct {
		settings string // name=value
		do       func(*fixture) error
		end      string // a statement that ends those that wait, or nothing
		message  string
	}{
		"a write beyond statement_timeout": {"statement_timeout=200", create, "", "statement_timeout"},
		"a read beyond statement_timeout":  {"statement_timeout=200", get, "", "statement_timeout"},
		"a list beyond statement_timeout":  {"statement_timeout=200", list, "", "statement_timeout"},
		"a write beyond lock_timeout":      {"lock_timeout=200", create, "", "lock was held"},
		"a canceled write":                 {"", create, "pg_cancel_backend", "was canceled"},
		"a canceled read":                  {"", get, "pg_cancel_backend", "was canceled"},
		"a write whose session is ended":   {"", create, "pg_terminate_backend", "shutting down"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			createPod(t, f.Storage, "pod")
			blocker, err := pgx.Connect(t.Context(), f.dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = blocker.Close(context.WithoutCancel(t.Context())) }()
			application := strings.ReplaceAll(name, " ", "-")
			tested := newFixtureAt(t, f.dsn+"&application_name="+application+"&"+test.settings)
			if _, err := blocker.Exec(t.Context(), "begin; lock table head in access exclusive mode"); err != nil {
				t.Fatal(err)
			}
			answer := make(chan error, 1)
			go func() { answer <- test.do(tested) }()
			poll := time.NewTicker(10 * time.Millisecond)
			defer poll.Stop()
			for {
				select {
				case err := <-answer:
					checkAnswer(t, name, err, http.StatusServiceUnavailable, test.message)
					return
				case <-poll.C:
					if test.end != "" {
						endWaiting(t, blocker, application, test.end)
					}
				}
			}
		})
	}
}

func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	readOnly := newFixtureAt(t, f.dsn+"&default_transaction_read_only=on")
	checkAnswer(t, "a write", readOnly.claim(t.Context(), "pod", "", ""), http.StatusServiceUnavailable, "read-only")
}

// endWaiting has a function end what an application waits with.
func endWaiting(t *testing.T, conn *pgx.Conn, application, function string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "select "+function+"(pid) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'", application); err != nil {
		t.Fatal(err)
	}
}
