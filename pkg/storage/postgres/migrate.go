package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"k8s.io/klog/v2"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// ErrSchemaTooNew is returned by Open when a newer version of this program has
// already changed the schema: run that version.
var ErrSchemaTooNew = errors.New("the database schema is newer than this program")

type migration struct {
	version int
	name    string
	sql     string
}

// loadMigrations returns the embedded migrations in order of their numbers, which
// start at 1 and have no gaps.
func loadMigrations() ([]migration, error) {
	files, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("listing migrations: %w", err)
	}
	var migrations []migration
	for i, file := range files { // Glob sorts
		name := strings.TrimSuffix(strings.TrimPrefix(file, "migrations/"), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %q: want number %d", name, i+1)
		}
		sql, err := migrationFiles.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading migration %q: %w", name, err)
		}
		migrations = append(migrations, migration{version: version, name: name, sql: string(sql)})
	}
	return migrations, nil
}

// Migrate brings the schema up to date and, if role is not empty, lets that role do what
// the servers do, and no more: they can then run without owning anything. The role must
// exist. The connection string is that of the schema's owner.
func Migrate(ctx context.Context, config Config, role string) error {
	poolConfig, err := config.poolConfig()
	if err != nil {
		return fmt.Errorf("migrating database: %w", err)
	}
	if err := migrate(ctx, poolConfig.ConnConfig.Copy()); err != nil {
		return fmt.Errorf("migrating database: %w", err)
	}
	if role == "" {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, poolConfig.ConnConfig)
	if err != nil {
		return fmt.Errorf("migrating database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := grant(ctx, conn, role); err != nil {
		return fmt.Errorf("granting role %q the use of the schema: %w", role, err)
	}
	return nil
}

func grant(ctx context.Context, conn *pgx.Conn, role string) error {
	var schema string
	if err := conn.QueryRow(ctx, "select current_schema()").Scan(&schema); err != nil {
		return err
	}
	names := strings.NewReplacer(":schema", pgx.Identifier{schema}.Sanitize(), ":role", pgx.Identifier{role}.Sanitize())
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return execScript(ctx, tx, names.Replace(grantScript)) })
}

// migrate applies the missing migrations in one transaction. Of several processes
// that start at once one applies them while the others wait. A role that may not
// change the schema can find it up to date.
func migrate(ctx context.Context, cfg *pgx.ConnConfig) error {
	migrations, err := loadMigrations()
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	current, err := schemaVersion(ctx, conn, len(migrations))
	if err != nil || current == len(migrations) {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Whoever holds the lock may take as long as the migration takes.
		if err := execScript(ctx, tx, `
			set local lock_timeout = 0;
			select pg_advisory_xact_lock(hashtext(current_schema() || '.schema_migrations'));
			create table if not exists schema_migrations (
				version int primary key, name text not null, applied_at timestamptz not null default now());
		`); err != nil {
			return fmt.Errorf("locking the schema: %w", err)
		}
		if current, err = schemaVersion(ctx, conn, len(migrations)); err != nil {
			return err
		}
		return applyMigrations(ctx, tx, migrations[current:])
	})
	if hasCode(err, codeInsufficientPrivilege, codeNoSchema) {
		return fmt.Errorf("the schema is at version %d, this program needs %d, and role %q may not change it: run the command migrate as its owner first: %w",
			current, len(migrations), cfg.User, err)
	}
	return err
}

// schemaVersion returns how many migrations were applied, which must not be more than are
// known.
func schemaVersion(ctx context.Context, conn *pgx.Conn, known int) (version int, err error) {
	var exists bool
	err = conn.QueryRow(ctx, "select to_regclass(quote_ident(current_schema()) || '.schema_migrations') is not null").Scan(&exists)
	if err == nil && exists {
		err = conn.QueryRow(ctx, "select coalesce(max(version), 0) from schema_migrations").Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	if version > known {
		return 0, fmt.Errorf("%w: it is at version %d, this program knows %d", ErrSchemaTooNew, version, known)
	}
	return version, nil
}

func applyMigrations(ctx context.Context, tx pgx.Tx, migrations []migration) error {
	for _, m := range migrations {
		if err := execScript(ctx, tx, m.sql); err != nil {
			return fmt.Errorf("applying migration %q: %w", m.name, err)
		}
		if _, err := tx.Exec(ctx, "insert into schema_migrations (version, name) values ($1, $2)", m.version, m.name); err != nil {
			return fmt.Errorf("recording migration %q: %w", m.name, err)
		}
		klog.FromContext(ctx).Info("Applied database migration", "migration", m.name)
	}
	return nil
}

// execScript runs several statements, which only the simple protocol allows.
func execScript(ctx context.Context, tx pgx.Tx, sql string) error {
	_, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll()
	return err
}
