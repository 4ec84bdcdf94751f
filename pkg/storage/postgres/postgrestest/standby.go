package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// StartStandby starts a hot standby of a server, with the same options, that streams
// from it asynchronously. The caller removes it.
func (s *Server) StartStandby() (*Server, error) {
	standby, err := prepare(s.options)
	if err != nil {
		return nil, fmt.Errorf("starting standby: %w", err)
	}
	backup := standby.command("pg_basebackup", "--dbname", s.DSN(), "--pgdata", standby.data(),
		"--checkpoint", "fast", "--write-recovery-conf", "--no-sync")
	if output, err := backup.CombinedOutput(); err != nil {
		standby.Remove()
		return nil, fmt.Errorf("running pg_basebackup: %w\n%s", err, output)
	}
	if err := standby.Start(); err != nil {
		standby.Remove()
		return nil, err
	}
	return standby, nil
}

// Detach has a standby receive nothing more from its primary.
func (s *Server) Detach(ctx context.Context) error {
	for _, sql := range []string{"alter system set primary_conninfo = ''", "select pg_reload_conf()"} {
		if err := execute(ctx, s.DSN(), sql); err != nil {
			return fmt.Errorf("detaching standby: %w", err)
		}
	}
	return nil
}

// Promote makes a standby a primary, with what it has received so far.
func (s *Server) Promote(ctx context.Context) error {
	if err := execute(ctx, s.DSN(), "select pg_promote(true, 30)"); err != nil {
		return fmt.Errorf("promoting standby: %w", err)
	}
	if _, err := os.Stat(filepath.Join(s.data(), "standby.signal")); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("promoting standby: it remains one (%w)", err)
	}
	return nil
}
