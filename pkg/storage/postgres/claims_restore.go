package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/storage/claims"
)

const (
	// claimScanInterval is how often writes are looked for that were made without
	// claims, by a program from before there were any that runs at the same time.
	claimScanInterval = 5 * time.Minute
	// claimScanBatch bounds how long one step holds the counter's lock.
	claimScanBatch = 100
)

// claimant is a key whose claims are not what its value says.
type claimant struct {
	key     string
	mod     int64
	holding claims.Holding
}

// restoreClaims makes the claims of all objects what the objects say, as far as they
// were written since it last did so. Limits do not count, and of several objects that
// want one unique name the oldest gets it.
func (s *Storage) restoreClaims(ctx context.Context) error {
	at, err := s.db.revision(ctx)
	if err != nil {
		return fmt.Errorf("restoring claims: %w", err)
	}
	var scanned int64
	if err := s.db.pool.QueryRow(ctx, claimScanQuery, s.prefix).Scan(&scanned); err != nil {
		return fmt.Errorf("restoring claims: %w", err)
	}
	r := prefixRange(s.prefix)
	rows, err := s.db.pool.Query(ctx, claimsQuery, r.from, r.to, scanned)
	if err != nil {
		return fmt.Errorf("restoring claims: %w", err)
	}
	var (
		key     string
		mod     int64
		value   []byte
		held    []string
		pending []claimant
	)
	_, err = pgx.ForEachRow(rows, []any{&key, &mod, &value, &held}, func() error {
		obj, err := s.decode(ctx, key, value, mod)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Cannot tell what an unreadable object claims", "key", key)
			return nil
		}
		c := claimant{key: key, mod: mod, holding: s.resource.Claims.Holding(obj)}
		if slices.Equal(held, c.names()) {
			return nil
		}
		if pending = append(pending, c); len(pending) < claimScanBatch {
			return nil
		}
		err = s.db.restoreClaims(ctx, pending)
		pending = pending[:0]
		return err
	})
	if err == nil {
		err = s.db.restoreClaims(ctx, pending)
	}
	if err == nil {
		_, err = s.db.pool.Exec(ctx, claimScannedQuery, s.prefix, at.rev)
	}
	if err == nil {
		_, err = s.db.pool.Exec(ctx, forgetRatesQuery)
	}
	if err != nil {
		return fmt.Errorf("restoring claims: %w", err)
	}
	return nil
}

// names returns all names, as stored and in order.
func (c claimant) names() []string {
	names := append(claimNames(c.holding.Unique), claimNames(c.holding.Counted)...)
	slices.Sort(names)
	return names
}

func (d *Database) restoreClaims(ctx context.Context, claimants []claimant) error {
	var batch pgx.Batch
	for _, c := range claimants {
		batch.Queue(restoreClaimsQuery, c.key, c.mod, claimNames(c.holding.Unique), claimNames(c.holding.Counted)).
			QueryRow(func(row pgx.Row) error {
				var complete bool
				if err := row.Scan(&complete); err != nil {
					return err
				}
				if !complete {
					klog.FromContext(ctx).Info("An object does not get what it claims: an older one holds it", "key", c.key, "claims", c.holding)
				}
				return nil
			})
	}
	return d.pool.SendBatch(ctx, &batch).Close()
}
