package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	expiryInterval = time.Second
	expiryBatch    = 256
	expiryActor    = "system:expiry"
)

// expire deletes keys whose time to live is over, as any other write. Every replica
// does so; of several the first wins, the others find the key gone.
func (d *Database) expire(ctx context.Context) {
	every(ctx, expiryInterval, "expiry", func(ctx context.Context) error {
		for more := true; more; {
			expired, err := d.expired(ctx)
			if err != nil {
				return fmt.Errorf("finding expired keys: %w", err)
			}
			if err := d.deleteExpired(ctx, expired); err != nil {
				return err
			}
			more = len(expired) == expiryBatch
		}
		return nil
	})
}

// expired returns writes that would delete the keys longest expired.
func (d *Database) expired(ctx context.Context) ([]*write, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := d.pool.Query(ctx, expiredQuery, expiryBatch)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*write, error) {
		w := &write{kind: deleted, actor: expiryActor}
		err := row.Scan(&w.key, &w.expect)
		return w, err
	})
}

func (d *Database) deleteExpired(ctx context.Context, expired []*write) error {
	pending := make([]<-chan outcome, len(expired))
	for i, w := range expired {
		pending[i] = d.writes.submit(ctx, w)
	}
	for i, result := range pending {
		if r := <-result; r.err != nil {
			return fmt.Errorf("deleting expired key %q: %w", expired[i].key, r.err)
		}
	}
	return nil
}
