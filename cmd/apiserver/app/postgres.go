package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/storage/postgres"
)

// PostgresOptions say which database the server stores its objects in.
type PostgresOptions struct {
	// DSNFile holds the connection string. A file keeps the password out of the
	// process list.
	DSNFile string
	// MaxConnections bounds the connections of this process.
	MaxConnections int32
	// ConnectTimeout is how long the server waits at start for the database.
	ConnectTimeout time.Duration
}

// NewPostgresOptions returns the defaults.
func NewPostgresOptions() *PostgresOptions {
	return &PostgresOptions{MaxConnections: 16, ConnectTimeout: 5 * time.Minute}
}

// AddFlags adds the flags of the database.
func (o *PostgresOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.DSNFile, "postgres-dsn-file", o.DSNFile, "File with the PostgreSQL connection string, as a URL or as keywords and values. Required.")
	fs.Int32Var(&o.MaxConnections, "postgres-max-connections", o.MaxConnections, "Most connections that this process opens to PostgreSQL. Two more are used: for watching, and for starting and the retention of the log.")
	fs.DurationVar(&o.ConnectTimeout, "postgres-connect-timeout", o.ConnectTimeout, "How long to wait at start for PostgreSQL to answer before giving up.")
}

// Validate returns every fault of the options.
func (o *PostgresOptions) Validate() []error {
	var errs []error
	if o.DSNFile == "" {
		errs = append(errs, errors.New("--postgres-dsn-file is required"))
	}
	if o.MaxConnections < 4 {
		errs = append(errs, fmt.Errorf("--postgres-max-connections=%d must be at least 4", o.MaxConnections))
	}
	if o.ConnectTimeout <= 0 {
		errs = append(errs, fmt.Errorf("--postgres-connect-timeout=%s must be greater than 0", o.ConnectTimeout))
	}
	return errs
}

// Open connects to the database and brings its schema up to date, waiting for
// the database to come up for as long as the options allow. A connection string
// that cannot be read is not worth waiting for. What the database is to remember is
// up to config.
func (o *PostgresOptions) Open(ctx context.Context, config postgres.Config) (*postgres.Database, error) {
	var err error
	if config.ConnString, err = o.connString(); err != nil {
		return nil, err
	}
	config.MaxConns = o.MaxConnections
	var database *postgres.Database
	var last error
	err = wait.PollUntilContextTimeout(ctx, time.Second, o.ConnectTimeout, true, func(ctx context.Context) (bool, error) {
		database, last = postgres.Open(ctx, config)
		if errors.As(last, new(*pgconn.ParseConfigError)) {
			return false, last
		}
		if last != nil {
			klog.FromContext(ctx).Info("Waiting for PostgreSQL", "reason", last.Error())
		}
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return nil, fmt.Errorf("waiting for PostgreSQL: %w: %w", err, last)
	}
	return database, err
}

func (o *PostgresOptions) connString() (string, error) {
	content, err := os.ReadFile(o.DSNFile)
	if err != nil {
		return "", fmt.Errorf("reading --postgres-dsn-file: %w", err)
	}
	connString := strings.TrimSpace(string(content))
	if connString == "" {
		return "", fmt.Errorf("reading --postgres-dsn-file: %s is empty", o.DSNFile)
	}
	return connString, nil
}
