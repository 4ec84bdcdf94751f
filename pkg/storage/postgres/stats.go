package postgres

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apiserver/pkg/storage"
)

// count is how many objects a storage has at a revision.
type count struct {
	rev, objects int64
}

// Stats implements storage.Interface. The figures are exact. The database adds up sizes;
// objects it counts once, as long as the changes since are in memory.
func (s *Storage) Stats(ctx context.Context) (storage.Stats, error) {
	if !s.sizes.Load() {
		objects, err := s.countObjects(ctx)
		return storage.Stats{ObjectCount: objects}, translate(ctx, "counting objects", s.prefix, err)
	}
	counted, bytes, err := s.db.stats(ctx, prefixRange(s.prefix), true)
	if err != nil {
		return storage.Stats{}, translate(ctx, "counting objects", s.prefix, err)
	}
	stats := storage.Stats{ObjectCount: counted.objects}
	if counted.objects > 0 {
		stats.EstimatedAverageObjectSizeBytes = bytes / counted.objects
	}
	return stats, nil
}

// countObjects counts as of a revision that is no older than the call.
func (s *Storage) countObjects(ctx context.Context) (int64, error) {
	if before := s.counted.Load(); before != nil {
		at, err := s.db.index.get(ctx)
		if err != nil {
			return 0, err
		}
		if now, ok := s.recount(*before, at.rev); ok {
			s.counted.Store(&now)
			return now.objects, nil
		}
	}
	now, _, err := s.db.stats(ctx, prefixRange(s.prefix), false)
	if err != nil {
		return 0, err
	}
	s.counted.Store(&now)
	return now.objects, nil
}

// recount brings a count up to date with the changes since, unless the hub has lost some
// or has not got to rev yet. Revisions jump after a failover: the hub then has neither
// what the count was made of nor what comes next, until it starts over after the jump.
func (s *Storage) recount(c count, rev int64) (count, bool) {
	hub := s.db.hub.after(c.rev)
	if hub.behind || hub.at.rev < max(rev, c.rev) {
		return count{}, false
	}
	for _, change := range hub.changes {
		if !strings.HasPrefix(change.key, s.prefix) {
			continue
		}
		switch change.kind {
		case created:
			c.objects++
		case deleted:
			c.objects--
		}
	}
	c.rev = hub.at.rev
	return c, true
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
