package postgres

import (
	"context"
	"fmt"
	"time"
)

// partitionInterval is short against the time it takes to write the two million
// revisions that are always prepared.
const partitionInterval = 10 * time.Second

// Compact stops serving lists and watches that start below revision rev. It is
// logical: rows stay in the log until retention takes them. A revision that is already compacted, or lies in the
// future, changes nothing.
func (d *Database) Compact(ctx context.Context, rev int64) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	tag, err := d.pool.Exec(ctx, compactQuery, rev)
	if err != nil {
		return fmt.Errorf("compacting to revision %d: %w", rev, err)
	}
	if tag.RowsAffected() > 0 {
		d.hub.compacted(rev)
	}
	return nil
}

// maintain keeps log partitions ready and compacts what is older than the interval.
// Every replica does so; the slowest of them changes nothing.
func (d *Database) maintain(ctx context.Context) {
	old := d.hub.position().rev
	next := time.Now().Add(d.config.CompactionInterval)
	every(ctx, min(partitionInterval, d.config.CompactionInterval), "maintenance", func(ctx context.Context) error {
		if err := d.preparePartitions(ctx); err != nil {
			return err
		}
		if time.Now().Before(next) {
			return nil
		}
		if err := d.Compact(ctx, old); err != nil {
			return err
		}
		old = d.hub.position().rev
		next = time.Now().Add(d.config.CompactionInterval)
		return nil
	})
}

// preparePartitions makes the log ready for the revisions to come.
func (d *Database) preparePartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := d.pool.Exec(ctx, partitionsQuery); err != nil {
		return fmt.Errorf("preparing log partitions: %w", err)
	}
	return nil
}
