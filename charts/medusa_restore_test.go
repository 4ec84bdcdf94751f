package charts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// A restore, however it ends, leaves the shop's database or the backup's, whole, and
// says of no other than it is so. The programs of the folder "bin" come between.
func TestMedusaRestore(t *testing.T) {
	t.Parallel()
	const whileLoading = `
real=$(PATH=${PATH#*:} command -v pg_restore)
"$real" "$@"
`
	for name, tc := range map[string]struct {
		pgRestore, psql, df string
		says                string // in the termination message, of a restore that fails
		notes, left         string
	}{
		"on its own": {notes: "before", left: "medusa medusa_replaced postgres"},
		"ended while it loads": {
			pgRestore: whileLoading + "kill -TERM $(cat $TEST_FOLDER/pid)",
			says:      "the restore was ended before it was done", notes: "after", left: "medusa postgres",
		},
		"ended while it replaces": {
			pgRestore: whileLoading + "touch $TEST_FOLDER/loaded",
			psql:      "! rm $TEST_FOLDER/loaded 2>/dev/null || kill -TERM $(cat $TEST_FOLDER/pid)\nPATH=${PATH#*:} exec psql \"$@\"",
			notes:     "before", left: "medusa medusa_replaced postgres",
		},
		"killed when it has loaded": {
			pgRestore: whileLoading + "kill -KILL $(cat $TEST_FOLDER/pid)",
			notes:     "after", left: "medusa medusa_restored_pod-one postgres",
		},
		"overtaken by another": {
			pgRestore: "[ $POD = pod-two ] || POD=pod-two PATH=$TEST_FOLDER/others:${PATH#*:} sh $TEST_FOLDER/restore.sh" + whileLoading,
			says:      "pod-one\" does not exist", notes: "before", left: "medusa medusa_replaced postgres",
		},
		"a full volume": {
			df:   `printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 2048 1024 1024 50%% /data\n'`,
			says: "1024 kB are free", notes: "after", left: "medusa postgres",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMedusaRestore(t, map[string]string{"pg_restore": tc.pgRestore, "psql": tc.psql, "df": tc.df})
			r.sql("medusa", "create table notes (note text); insert into notes values ('before')")
			r.script("backup.sh")
			r.sql("medusa", "update notes set note = 'after'")

			err := r.try("restore.sh")
			said, _ := os.ReadFile(filepath.Join(r.folder, "said"))
			if fails := tc.notes == "after" || tc.says != ""; (err != nil) != fails || !strings.Contains(string(said), tc.says) {
				t.Errorf("the restore ended with %v and said %q, want %q", err, said, tc.says)
			}
			if notes := r.sql("medusa", "select note from notes"); notes != tc.notes {
				t.Errorf("the shop's note is %q, want %q", notes, tc.notes)
			}
			const databases = "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate"
			if left := r.sql("postgres", databases); left != tc.left {
				t.Errorf("the server has the databases %q, want %q", left, tc.left)
			}
			r.script("backup.sh")
			if left := r.sql("postgres", databases); left != "medusa postgres" {
				t.Errorf("after the next backup the server has the databases %q", left)
			}
		})
	}
}

// medusaRestore runs the chart's scripts on a server of their own.
type medusaRestore struct {
	t      *testing.T
	folder string
	env    []string
}

// newMedusaRestore starts a server. It and the scripts find the programs that are
// given by their texts before the installed ones of the name.
func newMedusaRestore(t *testing.T, programs map[string]string) *medusaRestore {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil { // the server may be another user
		t.Fatal(err)
	}
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, bin := range []string{"bin", "others"} {
		write(bin+"/uname", "#!/bin/sh\necho $POD\n", 0o755)
	}
	for name, text := range programs {
		if text != "" {
			write("bin/"+name, "#!/bin/sh\n"+text, 0o755)
		}
	}
	for _, file := range load(t, "medusa").Files {
		if strings.HasPrefix(file.Name, "files/") {
			write(strings.TrimPrefix(file.Name, "files/"), string(file.Data), 0o644)
		}
	}
	path := "PATH=" + filepath.Join(folder, "bin") + ":" + os.Getenv("PATH")
	server, err := postgrestest.Start(postgrestest.Options{Environment: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	r := &medusaRestore{t: t, folder: folder, env: append(os.Environ(), path, "TEST_FOLDER="+folder, "POD=pod-one",
		"PGHOST="+server.SocketDir(), "PGUSER=postgres", "PGDATABASE=medusa",
		"BACKUP_FOLDER="+t.TempDir(), "BACKUP_NAME=first", "BACKUP_KEEP=3", "RESTORE_ID=first@now",
		"TERMINATION_LOG="+filepath.Join(folder, "said"))}
	r.sql("postgres", "create database medusa")
	return r
}

// try runs a script, whose process is told in the file "pid".
func (r *medusaRestore) try(name string) error {
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", `echo $$ >"$TEST_FOLDER/pid"; exec sh "$TEST_FOLDER/$0"`, name)
	cmd.Env = r.env
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}

func (r *medusaRestore) script(name string) {
	r.t.Helper()
	if err := r.try(name); err != nil {
		r.t.Fatal(err)
	}
}

func (r *medusaRestore) sql(database, statement string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "psql", "--no-psqlrc", "-Atqc", statement, database)
	cmd.Env = r.env
	output, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", statement, err, output)
	}
	return strings.TrimSpace(string(output))
}
