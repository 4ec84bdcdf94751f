package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/klog/v2"
)

// Database is one PostgreSQL database that holds the objects of any number of
// resources. It may be shared by several processes. All methods are safe for
// concurrent use.
type Database struct {
	config Config
	pool   *pgxpool.Pool
	tracer trace.Tracer
	hub    *hub
	index  *readIndex
	writes *committer
	memory *memory

	channel string // carries the notifications of this schema
	peers   *peers

	background context.Context // ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup
	watchers   atomic.Int64
	caughtUp   atomic.Pointer[time.Time] // when the hub last had all there was
	logBytes   atomic.Int64              // what the log takes on the disk
	cutAt      atomic.Int64              // from where on the log has every revision
	closing    sync.Once
}

// Open connects to the database, brings its schema up to date and starts the
// goroutines that serve watches and writes; Close stops them. It does not retry:
// an error says what is wrong, and while the server is still starting the caller
// may simply call Open again. ctx bounds Open alone.
func Open(ctx context.Context, config Config) (*Database, error) {
	config = config.withDefaults()
	poolConfig, err := config.poolConfig()
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if err := migrate(ctx, poolConfig.ConnConfig.Copy()); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	poolConfig.AfterConnect = openSession
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	d := &Database{config: config, pool: pool, tracer: config.tracer(), peers: newPeers(strconv.FormatUint(rand.Uint64(), 36))}
	if err := d.start(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("opening database: %w", err)
	}
	return d, nil
}

func (d *Database) start(ctx context.Context) error {
	// A channel belongs to the whole database, its name is limited to 63 bytes.
	if err := d.pool.QueryRow(ctx, "select 'storage_' || md5(current_schema())").Scan(&d.channel); err != nil {
		return err
	}
	at, err := d.revision(ctx)
	if err != nil {
		return err
	}
	d.hub = newHub(at)
	d.writes = newCommitter(d)
	d.memory = newMemory(d.config.DecodedBytes)
	now := time.Now()
	d.caughtUp.Store(&now)

	// The database outlives the context of Open but keeps its logger.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.background, d.stop = background, stop
	d.index = &readIndex{background: background, read: d.revision}
	d.running.Go(func() { d.follow(background) })
	d.running.Go(func() { d.listen(background) })
	d.running.Go(func() { d.announce(background) })
	d.running.Go(func() { d.expire(background) })
	d.running.Go(func() { d.maintain(background) })
	d.running.Go(func() { d.retain(background) })
	d.running.Go(func() { d.memory.sweepRegularly(background) })
	for range batchesInFlight {
		// Closing the committer ends it; a batch under way is never cut off.
		d.running.Go(func() { d.writes.run(context.WithoutCancel(ctx)) })
	}
	return nil
}

// Close ends all watches, waits for the writes under way and closes the connections.
// Call it after the storages made by NewStorage are no longer used. Later calls do
// nothing.
func (d *Database) Close() {
	d.closing.Do(func() {
		d.writes.close()
		d.stop()
		d.running.Wait()
		d.hub.close()
		d.pool.Close()
	})
}

// Ping reports whether the database answers and accepts writes, for a readiness check.
func (d *Database) Ping(ctx context.Context) error {
	var standby bool
	if err := d.pool.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("pinging database: %w", err)
	}
	if standby {
		return fmt.Errorf("pinging database: the server is a read-only standby")
	}
	return nil
}

// answerTimeout is how long the server may take to answer what is asked in the
// background, where nobody else gives up.
const answerTimeout = 10 * time.Second

// sessionKey finds a session's identity in its connection.
const sessionKey = "session"

// session identifies a server process, also after it is gone.
type session struct {
	pid     uint32
	started time.Time
}

// openSession runs on every new connection: it notices that the server changed, notes
// who serves the connection and sees to how values are sent.
func openSession(ctx context.Context, conn *pgx.Conn) error {
	s := session{pid: conn.PgConn().PID()}
	if err := conn.QueryRow(ctx, openSessionQuery).Scan(nil, &s.started); err != nil {
		return fmt.Errorf("opening session: %w", err)
	}
	conn.PgConn().CustomData()[sessionKey] = s
	conn.TypeMap().RegisterType(newByteaArrayType(conn.TypeMap()))
	return nil
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// every calls f each interval until ctx ends, logging what fails: the next round
// tries again.
func every(ctx context.Context, interval time.Duration, task string, f func(context.Context) error) {
	for sleep(ctx, interval) {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Database task failed, will retry", "task", task)
		}
	}
}
