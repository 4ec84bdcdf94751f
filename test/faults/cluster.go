package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// diskBytes is the size of the file system of all servers of an episode.
const diskBytes = 1 << 30

// cluster is the server of an episode with its disk and its clock.
type cluster struct {
	primary   *postgrestest.Server
	disk      string // a file system of its own, empty if it cannot be filled
	clockFile string // what sets the server's clock, empty if it cannot be set
}

// startCluster starts a server in a folder of its own.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("starting cluster: %w", err)
	}
	c := &cluster{}
	options := postgrestest.Options{
		Dir: dir,
		Settings: []string{
			"max_connections=150", "max_wal_size=128MB", "min_wal_size=48MB", "shared_buffers=64MB",
			"wal_keep_size=128MB", "wal_receiver_timeout=5s",
		},
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", diskBytes)); err == nil {
		c.disk = dir
	}
	if library := fakeClock(); library != "" {
		c.clockFile = filepath.Join(dir, "clock")
		options.Environment = []string{
			"LD_PRELOAD=" + library, "FAKETIME_TIMESTAMP_FILE=" + c.clockFile, "FAKETIME_CACHE_DURATION=1",
			"DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
		}
		if err := c.setClock(0); err != nil {
			return nil, err
		}
	}
	var err error
	c.primary, err = postgrestest.Start(options)
	return c, err
}

// fakeClock finds the library that gives a program another clock.
func fakeClock() string {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// maxJump bounds how much the server's clock is off.
const maxJump = time.Hour

// setClock has the server's clock be off, if it can be set.
func (c *cluster) setClock(offset time.Duration) error {
	if c.clockFile == "" {
		return nil
	}
	content := fmt.Sprintf("%+d\n", int64(offset.Seconds()))
	next := c.clockFile + ".next"
	if err := os.WriteFile(next, []byte(content), 0o644); err != nil {
		return fmt.Errorf("setting clock: %w", err)
	}
	return os.Rename(next, c.clockFile)
}

// fillDisk leaves no space on the disk.
func (c *cluster) fillDisk() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(c.disk, &s); err != nil {
		return fmt.Errorf("filling disk: %w", err)
	}
	return c.resizeDisk(int64(s.Blocks-s.Bfree) * s.Bsize)
}

func (c *cluster) resizeDisk(size int64) error {
	if err := syscall.Mount("tmpfs", c.disk, "tmpfs", syscall.MS_REMOUNT, "size="+strconv.FormatInt(size, 10)); err != nil {
		return fmt.Errorf("resizing disk: %w", err)
	}
	return nil
}

// ensureRunning starts the server if it has died.
func (c *cluster) ensureRunning(ctx context.Context) error {
	return retry(ctx, func() error {
		if c.primary.Running() {
			conn, err := pgx.Connect(ctx, c.primary.DSN())
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		}
		return c.primary.Start()
	})
}

// session runs f on a connection of an administrator.
func (c *cluster) session(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, c.primary.DSN())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}

// backends returns the processes that serve the replicas.
func (c *cluster) backends(ctx context.Context) (pids []int32, err error) {
	err = c.session(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select pid from pg_stat_activity where application_name = 'platform-storage' order by pid")
		if err != nil {
			return err
		}
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		return err
	})
	return pids, err
}

func (c *cluster) close() {
	if c.primary != nil {
		c.primary.Remove()
	}
	if c.disk != "" {
		_ = syscall.Unmount(c.disk, syscall.MNT_DETACH) // whatever still uses it ends
	}
}

// waitFor polls a condition of the server.
func (c *cluster) waitFor(ctx context.Context, condition string) error {
	return retry(ctx, func() error {
		return c.session(ctx, func(conn *pgx.Conn) error {
			var met bool
			if err := conn.QueryRow(ctx, "select "+condition).Scan(&met); err != nil {
				return err
			}
			if !met {
				return errors.New("not yet: " + condition)
			}
			return nil
		})
	})
}
