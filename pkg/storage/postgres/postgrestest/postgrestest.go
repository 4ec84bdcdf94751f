package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/util/rand"
)

const (
	// dsnVariable names a server to use instead of starting one.
	dsnVariable = "POSTGRES_TEST_DSN"
	// binVariable is the folder of the programs of the server to start.
	binVariable = "POSTGRES_TEST_BIN"
)

var shared struct {
	once    sync.Once
	wrapped bool
	server  *Server
	dsn     string
	err     error
}

// Main runs the tests of a binary and stops the server they shared. It returns the exit
// code.
func Main(m *testing.M) int {
	shared.wrapped = true
	defer func() {
		if shared.server != nil {
			shared.server.Remove()
		}
	}()
	return m.Run()
}

// New returns the connection string of an empty schema that is the test's own. It is
// dropped when the test ends; whoever opened it must have closed it by then.
func New(t testing.TB) string {
	t.Helper()
	if !shared.wrapped {
		t.Fatal("postgrestest.New needs a TestMain that calls postgrestest.Main")
	}
	shared.once.Do(startShared)
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return NewSchema(t, shared.dsn)
}

func startShared() {
	if shared.dsn = os.Getenv(dsnVariable); shared.dsn != "" {
		return
	}
	// Tests of what survives a crash start their own server.
	if shared.server, shared.err = Start(Options{Settings: []string{"fsync=off", "full_page_writes=off"}}); shared.err == nil {
		shared.dsn = shared.server.DSN()
	}
}

// NewSchema makes an empty schema on any server and returns the connection string that
// leads to it.
func NewSchema(t testing.TB, dsn string) string {
	t.Helper()
	schema := "test_" + rand.String(12)
	if err := execute(t.Context(), dsn, "create schema "+schema); err != nil {
		t.Fatalf("creating schema: %v", err)
	}
	t.Cleanup(func() {
		// The server may have been stopped by the test.
		_ = execute(context.WithoutCancel(t.Context()), dsn, "drop schema "+schema+" cascade")
	})
	withSchema, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("%s must be a URL: %v", dsnVariable, err)
	}
	query := withSchema.Query()
	query.Set("search_path", schema)
	withSchema.RawQuery = query.Encode()
	return withSchema.String()
}

func execute(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
