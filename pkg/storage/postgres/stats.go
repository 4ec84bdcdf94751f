package postgres

import (
	"context"
	"errors"

	"k8s.io/apiserver/pkg/storage"
)

// Stats implements storage.Interface. The figures are exact: the database counts.
func (s *Storage) Stats(ctx context.Context) (storage.Stats, error) {
	count, bytes, err := s.db.stats(ctx, prefixRange(s.prefix), s.sizes.Load())
	if err != nil {
		return storage.Stats{}, translate(ctx, "counting objects", s.prefix, err)
	}
	stats := storage.Stats{ObjectCount: count}
	if count > 0 {
		stats.EstimatedAverageObjectSizeBytes = bytes / count
	}
	return stats, nil
}

// EnableResourceSizeEstimation implements storage.Interface: it makes Stats report the
// average size of the values as stored. The keys are not needed, the database knows
// them; nil is refused all the same.
func (s *Storage) EnableResourceSizeEstimation(keys storage.KeysFunc) error {
	if keys == nil {
		return errors.New("KeysFunc cannot be nil")
	}
	if !s.sizes.CompareAndSwap(false, true) {
		return errors.New("resource size estimation is already enabled")
	}
	return nil
}
