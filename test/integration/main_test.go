// Package integration proves the platform's API through a real kube-apiserver
// that forwards to our API server over a real PostgreSQL.
package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
)

// env is shared by all tests. Each works in namespaces of its own.
var env *harness.Environment

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	shared := &process.Scope{}
	defer shared.End()
	database := postgrestest.StartServer(shared, "fsync=off", "full_page_writes=off")
	var err error
	env, err = harness.Start(context.Background(), withPassword(database.DSN()))
	defer env.Stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := passwordInLog(env.Server()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// passwordInLog returns an error if a server has shown the database's password,
// or nothing at all.
func passwordInLog(server *harness.Server) error {
	log, err := server.Log()
	if err != nil {
		return err
	}
	if len(log) == 0 {
		return errors.New("the server's log is empty")
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(password)) {
			return fmt.Errorf("the server's log shows the database's password: %s", line)
		}
	}
	return nil
}
