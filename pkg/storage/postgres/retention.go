package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/klog/v2"
)

const (
	// retentionInterval is how often the log is looked at for what need not be kept.
	retentionInterval = time.Minute
	// copyObjects and copyRevisions bound what one transaction copies: while it runs,
	// the server cannot clear away what writers leave behind at the counter.
	copyObjects   = 200
	copyRevisions = 1000
	// cutDelay and cutTimeout are for a cut that others are in the way of.
	cutDelay   = 500 * time.Millisecond
	cutTimeout = 10 * time.Minute
)

// retain takes from the log what is neither current nor to be kept, and measures it.
// Every replica tries, one at a time cuts.
func (d *Database) retain(ctx context.Context) {
	every(ctx, retentionInterval, "retention", func(ctx context.Context) error {
		if d.config.HistoryRetention > 0 || d.config.HistoryMaxBytes > 0 {
			if err := d.cutLog(ctx); err != nil {
				return err
			}
		}
		return d.measureLog(ctx)
	})
}

// measureLog notes the figures of the log that take a query to find out.
func (d *Database) measureLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var bytes, from int64
	if err := d.pool.QueryRow(ctx, logSizeQuery).Scan(&bytes, &from); err != nil {
		return fmt.Errorf("measuring the log: %w", err)
	}
	d.logBytes.Store(bytes)
	d.cutAt.Store(from)
	return nil
}

// cutLog cuts the log down once, if that is due.
func (d *Database) cutLog(ctx context.Context) error {
	var age *time.Duration
	if d.config.HistoryRetention > 0 {
		age = &d.config.HistoryRetention
	}
	var bytes *int64
	if d.config.HistoryMaxBytes > 0 {
		bytes = &d.config.HistoryMaxBytes
	}
	return d.withCut(ctx, func(ctx context.Context, conn *pgx.Conn) (cut *int64, err error) {
		err = conn.QueryRow(ctx, logCutQuery, age, bytes).Scan(&cut)
		return cut, err
	})
}

// withCut cuts the log at the revision that choose returns, unless that is null or
// another replica is cutting.
//
// Of each object that existed before the cut the row stays that was its state then, so
// that every later state is complete and every later change finds what it replaced.
// Those rows never change again, hence they are copied beforehand, in steps that
// disturb nobody. Only the exchange of the partitions is one transaction, which holds
// everybody up for an instant: what fails before leaves two tables that nothing uses.
// The steps are functions of the schema, which let no caller leave one out.
func (d *Database) withCut(ctx context.Context, choose func(context.Context, *pgx.Conn) (*int64, error)) error {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	// The lock ends with the session, if not before.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var first bool
	if err := conn.QueryRow(ctx, lockRetentionQuery).Scan(&first); err != nil || !first {
		return err
	}
	defer func() { _, _ = conn.Exec(ctx, unlockRetentionQuery) }()
	cut, err := choose(ctx, conn)
	if err != nil {
		return fmt.Errorf("finding what need not be kept: %w", err)
	}
	if cut == nil {
		return nil
	}
	begin := time.Now()
	err = cutAt(ctx, conn, *cut)
	observeCut(begin, err)
	if err != nil {
		return fmt.Errorf("cutting the log at revision %d: %w", *cut, err)
	}
	klog.FromContext(ctx).Info("Cut the log", "revision", *cut, "took", time.Since(begin))
	return nil
}

func cutAt(ctx context.Context, conn *pgx.Conn, cut int64) error {
	if err := outlive(ctx, conn); err != nil {
		return fmt.Errorf("waiting for transactions that use the log: %w", err)
	}
	if _, err := conn.Exec(ctx, prepareCutQuery, cut); err != nil {
		return fmt.Errorf("making tables: %w", err)
	}
	if err := paced(ctx, func() (more bool, err error) {
		err = conn.QueryRow(ctx, copyBaseQuery, copyObjects).Scan(&more)
		return more, err
	}); err != nil {
		return fmt.Errorf("copying objects: %w", err)
	}
	if err := paced(ctx, func() (more bool, err error) {
		err = conn.QueryRow(ctx, copyRestQuery, copyRevisions).Scan(&more)
		return more, err
	}); err != nil {
		return fmt.Errorf("copying revisions: %w", err)
	}
	deadline := time.Now().Add(cutTimeout)
	for {
		_, err := conn.Exec(ctx, makeCutQuery, cut)
		if !hasCode(err, codeLockNotAvailable, codeDeadlock) || time.Now().After(deadline) {
			return err
		}
		if !sleep(ctx, cutDelay) {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// outlive waits until the transactions are over that use the log now. What is copied while
// one of them lasts may be copied in vain, because the exchange waits for it too.
func outlive(ctx context.Context, conn *pgx.Conn) error {
	before, err := logHolders(ctx, conn)
	deadline := time.Now().Add(cutTimeout)
	for err == nil && len(before) > 0 {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d have not ended within %v", len(before), cutTimeout)
		}
		if !sleep(ctx, cutDelay) {
			return ctx.Err()
		}
		var now []string
		now, err = logHolders(ctx, conn)
		before = slices.DeleteFunc(before, func(tx string) bool { return !slices.Contains(now, tx) })
	}
	return err
}

func logHolders(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, logHoldersQuery)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// paced takes steps until there are no more. It rests as long as it works.
func paced(ctx context.Context, step func() (more bool, err error)) error {
	for {
		begin := time.Now()
		more, err := step()
		if err != nil || !more {
			return err
		}
		if !sleep(ctx, time.Since(begin)) {
			return ctx.Err()
		}
	}
}
