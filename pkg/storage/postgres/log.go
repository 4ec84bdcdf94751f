package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// kind says what a revision did to its key. The numbers are stored.
type kind int16

const (
	created kind = 0
	updated kind = 1
	deleted kind = 2
)

// change is one revision of the log. It is shared by all watches and immutable, but
// for the previous value, which is loaded when first asked for, and what was decoded.
type change struct {
	rev   int64
	key   string
	prev  int64 // the revision replaced, 0 if created
	kind  kind
	value []byte // as stored; nil if deleted

	mu       sync.Mutex
	previous []byte // as stored; nil if created or not loaded

	current, before memo // what value and previous decode to
}

// forget drops what was decoded, for good: what is decoded from now on is not shared.
func (c *change) forget() {
	c.current.forget()
	c.before.forget()
}

func (c *change) size() int {
	return len(c.key) + len(c.value) + 128
}

// position is how far the database has come, read in the snapshot of a query.
type position struct {
	rev     int64 // the latest revision
	compact int64 // history below is no longer served
}

// revision reads the current position: linearizable, not from memory.
func (d *Database) revision(ctx context.Context) (position, error) {
	var at position
	err := d.pool.QueryRow(ctx, revisionQuery).Scan(&at.rev, &at.compact)
	return at, err
}

// tail reads the changes between two revisions in order, at most limit.
func (d *Database) tail(ctx context.Context, after, below int64, limit int) ([]*change, position, error) {
	return d.readChanges(ctx, tailQuery, after, below, limit)
}

// changes reads the changes of keys in r after one revision up to another in order,
// at most limit.
func (d *Database) changes(ctx context.Context, r keyRange, after, upTo int64, limit int) ([]*change, position, error) {
	return d.readChanges(ctx, rangeQuery, after, upTo, r.from, r.to, limit)
}

func (d *Database) readChanges(ctx context.Context, query string, args ...any) ([]*change, position, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var (
		at      position
		found   []*change
		rev     *int64 // null when the position comes without a change
		key     *string
		prev    *int64
		k       *kind
		value   []byte
		removed []byte
	)
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, at, notSentError{err}
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, at, err
	}
	_, err = pgx.ForEachRow(rows, []any{&at.rev, &at.compact, &rev, &key, &prev, &k, &value, &removed}, func() error {
		if rev != nil {
			found = append(found, &change{rev: *rev, key: *key, prev: *prev, kind: *k, value: value, previous: removed})
		}
		return nil
	})
	// In order already, but SQL does not promise it through a join.
	slices.SortFunc(found, func(a, b *change) int { return cmp.Compare(a.rev, b.rev) })
	return found, at, err
}

// previousValue returns the stored bytes that c replaced, nil if it created its key.
// The first watch to ask reads them for all.
func (d *Database) previousValue(ctx context.Context, c *change) ([]byte, error) {
	if c.prev == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.previous == nil {
		if earlier := d.hub.find(c.prev); earlier != nil {
			c.previous = earlier.value
			c.before.set(earlier.current.get())
			return c.previous, nil
		}
		err := d.pool.QueryRow(ctx, valueQuery, c.prev).Scan(&c.previous)
		if errors.Is(err, pgx.ErrNoRows) {
			// So far behind that the value is no longer kept.
			return nil, apierrors.NewResourceExpired(watchExpired)
		}
		if err != nil {
			return nil, fmt.Errorf("reading revision %d: %w", c.prev, err)
		}
	}
	return c.previous, nil
}
