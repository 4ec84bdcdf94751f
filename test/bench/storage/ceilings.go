package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ceilings are the figures next to which those of creates are shown: rows of the size of
// a pod that the same server inserts, by its own benchmark program.
var ceilings = []struct {
	creators      int // the clients of the row of creates
	clients, rows int // of pgbench, and how many each inserts at once
}{
	{creators: 1, clients: 1, rows: 1},
	{creators: 16, clients: 16, rows: 1},
	{creators: 64, clients: 64, rows: 1},
	{creators: 256, clients: 4, rows: 64},
}

var ratePattern = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without`)

// measureCeilings runs pgbench. Every row is sent to the server, as a parameter.
func measureCeilings(ctx context.Context, m *machinery, pgbench string, clients []int, duration time.Duration, record func(row string, rate float64)) error {
	database := m.name("ceiling")
	if _, err := m.admin.Exec(ctx, "create database "+database); err != nil {
		return fmt.Errorf("creating database: %w", err)
	}
	defer func() {
		_, _ = m.admin.Exec(context.WithoutCancel(ctx), "drop database "+database+" with (force)")
	}()
	conn, err := pgx.Connect(ctx, m.dsn(database))
	if err != nil {
		return fmt.Errorf("connecting to database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// Stored as values of the log are.
	if _, err := conn.Exec(ctx, `create table ceiling (id bigserial primary key, value text not null) with (toast_tuple_target = 8160);
		alter table ceiling alter column value set storage external`); err != nil {
		return fmt.Errorf("creating table: %w", err)
	}
	for _, c := range ceilings {
		if !slices.Contains(clients, c.creators) {
			continue
		}
		script := filepath.Join(m.folder, m.name("insert")+".sql")
		values := strings.TrimSuffix(strings.Repeat("(:payload),", c.rows), ",")
		if err := os.WriteFile(script, []byte("insert into ceiling (value) values "+values+";\n"), 0o600); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, pgbench, "--no-vacuum", "--protocol=prepared", "--file="+script,
			"--define=payload="+padding[:payload], "--jobs=2",
			fmt.Sprintf("--client=%d", c.clients), fmt.Sprintf("--time=%d", max(1, int(duration.Seconds()))),
			m.dsn(database)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("running pgbench: %w\n%s", err, out)
		}
		found := ratePattern.FindSubmatch(out)
		if found == nil {
			return fmt.Errorf("pgbench told no rate:\n%s", out)
		}
		rate, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			return err
		}
		record(withClients("create", c.creators), rate*float64(c.rows))
	}
	return nil
}

// findPgbench returns the path of the newest one installed. Debian keeps it off the path.
func findPgbench() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if len(found) == 0 {
		path, err := exec.LookPath("pgbench")
		if err != nil {
			return "", errors.New("no pgbench found: install the Debian package postgresql-15 or put it on the path")
		}
		return path, nil
	}
	return found[len(found)-1], nil
}
