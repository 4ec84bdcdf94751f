package app

import (
	"os"
	"path/filepath"
	"testing"

	"platform.dev/stores/pkg/storage/postgres"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func TestMigrateCommand(t *testing.T) {
	dsn := postgrestest.New(t)
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		args  []string
		fails bool
	}{
		{name: "no connection string", args: []string{"migrate"}, fails: true},
		{name: "no such role", args: []string{"migrate", "--postgres-dsn-file=" + file, "--grant-to=nobody"}, fails: true},
		{name: "an argument", args: []string{"migrate", "--postgres-dsn-file=" + file, "now"}, fails: true},
		{name: "all well", args: []string{"migrate", "--postgres-dsn-file=" + file, "--grant-to=pg_monitor"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := NewCommand(t.Context())
			cmd.SetArgs(test.args)
			cmd.SilenceErrors = true
			if err := cmd.Execute(); (err != nil) != test.fails {
				t.Errorf("error %v, want one: %t", err, test.fails)
			}
		})
	}
	db, err := postgres.Open(t.Context(), postgres.Config{ConnString: dsn})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
}
