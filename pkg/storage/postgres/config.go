package postgres

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

const (
	defaultMaxConns           = 16
	defaultProgressInterval   = 5 * time.Second
	defaultCompactionInterval = 5 * time.Minute
	defaultConnectTimeout     = 5 * time.Second
	// pingTimeout is how long a connection that was idle may take to prove that it works.
	pingTimeout         = 2 * time.Second
	defaultDecodedBytes = 64 << 20
)

// Config says which database to use and how. The zero value of every field but
// ConnString means its default.
type Config struct {
	// ConnString is a PostgreSQL URL or keyword/value string. The tables live in the
	// first schema of its search_path. It must lead to the primary server itself or a
	// pooler that keeps sessions: notifications need one.
	ConnString string
	// MaxConns bounds the connections of this process, not counting the one that
	// listens for changes and one that migrates at start and is opened every minute if
	// there is a bound on the log. Default 16, at least 4.
	MaxConns int32
	// ProgressInterval is how often an idle watch with ProgressNotify is told the
	// current revision. Default 5 seconds.
	ProgressInterval time.Duration
	// CompactionInterval is the age at which revisions stop being served to lists and
	// watches. Default 5 minutes; it should not be below the 75 seconds of history the
	// watch cache promises. The rows stay in the log as long as HistoryRetention and
	// HistoryMaxBytes let them.
	CompactionInterval time.Duration
	// HistoryRetention is how long revisions are kept that are not current, up to an
	// eighth longer. Zero keeps them for ever. It is about rows of the log, hence about
	// the past that Past tells, and never takes what CompactionInterval still serves.
	HistoryRetention time.Duration
	// HistoryMaxBytes bounds the size of the log on disk, beyond which the oldest
	// revisions go that are not current, however young they are. Zero is no bound. It
	// should be several times the size of what is current, which always stays.
	HistoryMaxBytes int64
	// DecodedBytes bounds the objects that stay decoded in memory for lists that come
	// again, by the sum of their values as stored: decoded they take more. Default
	// 64 MiB; below zero keeps none.
	DecodedBytes int
	// TracerProvider takes a span of each group of writes and of each statement, the
	// latter named by what it does and without values. Optional.
	TracerProvider trace.TracerProvider
	// Tracer observes every query too. Optional.
	Tracer pgx.QueryTracer
}

func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = defaultMaxConns
	}
	c.MaxConns = max(c.MaxConns, 4)
	if c.ProgressInterval == 0 {
		c.ProgressInterval = defaultProgressInterval
	}
	if c.CompactionInterval == 0 {
		c.CompactionInterval = defaultCompactionInterval
	}
	if c.DecodedBytes == 0 {
		c.DecodedBytes = defaultDecodedBytes
	}
	return c
}

// sessionSettings make the planner choose index scans whatever the statistics say:
// every query of this package is written for them, and a plan that turns into a
// sequential scan or hash join after an autovacuum costs a hundred times as much.
var sessionSettings = map[string]string{
	"application_name": "platform-storage",
	"jit":              "off",
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"plan_cache_mode":  "force_generic_plan",
	// A replica that hangs must not hold up the others for longer than this.
	"lock_timeout":     "10s",
	"tcp_user_timeout": "20s",
}

// poolConfig parses the connection string. Settings named in it win over ours.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(c.ConnString)
	if err != nil {
		// The parser's error repeats the connection string with its password masked.
		return nil, fmt.Errorf("parsing connection string: %w", err)
	}
	cfg.MaxConns = c.MaxConns
	cfg.ConnConfig.Tracer = c.connTracer()
	for name, value := range sessionSettings {
		if _, set := cfg.ConnConfig.RuntimeParams[name]; !set {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = pingTimeout
	}
	cfg.ConnConfig.DialFunc = dialer.DialContext
	return cfg, nil
}
