// Package shards divides the stores among the replicas of the provisioner, so
// that all of them work at once and never two on one store.
//
// A store belongs to the shard that its UID hashes to. Each shard is a Lease
// that names the replica which holds it, and each replica keeps a Lease of its
// own alive for as long as it lives: one write per replica and retry period,
// however many shards there are. A shard's Lease is written only when the shard
// changes hands:
//
//   - A replica that holds more than its share takes no new work in the surplus,
//     and gives a shard up as soon as its workers have finished what they had
//     begun there.
//   - A replica that holds less than its share takes shards that nobody holds,
//     and those of a holder whose own Lease it has not seen renewed for a whole
//     lease duration. It relies on its own clock alone, never on the times in a
//     Lease.
//
// A replica whose Lease was not renewed for the renew deadline, which is shorter
// than the lease duration, may write nothing any more, not even what it was
// about to write: Fence refuses every such request. It never comes back from
// that; the process has to end, and a new one joins as another replica.
package shards

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/klog/v2"
)

// ErrLost ends a replica: others may be at work on its stores by now.
var ErrLost = errors.New("the replica's lease was lost")

// Config is what a replica needs to share stores with others. Everything is
// required.
type Config struct {
	// Leases are those of the platform's namespace. Their client must not be
	// fenced.
	Leases coordinationclient.LeaseInterface
	// Identity tells this process from every other, earlier ones too.
	Identity string
	// Count is how many shards there are. Replicas that disagree about it do not
	// work at the same time.
	Count int
	// LeaseDuration is how long others wait for a replica that does not renew,
	// RenewDeadline how long it works on without having renewed, and RetryPeriod
	// the time between two renewals. Each is less than the one before.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// Shards is the share of one replica. Make one with New, and Run it once.
type Shards struct {
	config Config
	roster *roster
	wake   chan struct{}

	mu      sync.Mutex
	changed func(shard int, mine bool)
	until   time.Time // when the replica's own Lease is too old to work by
	lost    bool
	held    map[int]*holding
}

// holding is a shard that this replica holds.
type holding struct {
	// busy counts the stores of the shard that are being worked on.
	busy int
	// leaving says that no work may begin any more.
	leaving bool
}

// New returns a replica that holds nothing until Run.
func New(config Config) *Shards {
	return &Shards{
		config: config, roster: newRoster(config), wake: make(chan struct{}, 1),
		changed: func(int, bool) {}, held: map[int]*holding{},
	}
}

// Notify has f called after a shard has become this replica's, and before one is
// given up, when nothing of it is being worked on. Call it before Run.
func (s *Shards) Notify(f func(shard int, mine bool)) { s.changed = f }

// Of is the shard of the store with uid.
func (s *Shards) Of(uid types.UID) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(uid))
	return int(hash.Sum32() % uint32(s.config.Count))
}

// Held is how many shards this replica holds.
func (s *Shards) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)
}

// Mine is true while this replica holds the store's shard.
func (s *Shards) Mine(uid types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[s.Of(uid)] != nil && s.valid()
}

// Begin allows to work on the store until end is called, unless it is not this
// replica's. The shard is not given up before.
func (s *Shards) Begin(uid types.UID) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[s.Of(uid)]
	if h == nil || h.leaving || !s.valid() {
		return nil, false
	}
	h.busy++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		h.busy--
		if h.leaving && h.busy == 0 {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}, true
}

// valid is true while the replica's Lease is young enough to work by.
func (s *Shards) valid() bool { return !s.lost && time.Now().Before(s.until) }

// Run takes part until ctx is done, and then gives all shards up: no work may be
// under way then. It returns ErrLost if others may have taken them.
func (s *Shards) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	for ctx.Err() == nil {
		if err := s.turn(ctx); err != nil && ctx.Err() == nil {
			logger.Error(err, "Sharing the stores")
		}
		if s.isLost() {
			return ErrLost
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-time.After(s.config.RetryPeriod):
		}
	}
	return s.leave(context.WithoutCancel(ctx))
}

// isLost is true once a Lease that was there could not be renewed in time.
func (s *Shards) isLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = s.lost || (!s.until.IsZero() && !s.valid())
	return s.lost
}

// turn renews the replica's Lease, looks who else is there, and takes or gives
// up what its share asks for.
func (s *Shards) turn(ctx context.Context) error {
	if s.isLost() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.RenewDeadline)
	defer cancel()
	// The Lease is good from when it was asked for: others see it later.
	asked := time.Now()
	if err := s.renew(ctx); err != nil {
		return fmt.Errorf("renewing the replica's lease: %w", err)
	}
	if s.isLost() {
		return nil
	}
	s.mu.Lock()
	s.until = asked.Add(s.config.RenewDeadline)
	s.mu.Unlock()

	// Whoever joins looks only after it has made its Lease. So of two that join
	// at once at least one sees the other.
	view, err := s.roster.look(ctx)
	if err != nil {
		return err
	}
	share := view.share(s.config.Identity, s.config.Count)
	if view.disagree {
		klog.FromContext(ctx).Info("Taking no shards while a replica divides the stores into another number of them")
		share = s.Held()
	}
	idle, kept := s.divide(share)
	for _, shard := range kept {
		s.changed(shard, true)
	}
	var errs []error
	for shard, move := range s.moves(view, idle, share) {
		errs = append(errs, move(ctx, shard))
		// What is left is for the next turn: an API server that is slow must
		// not keep the replica from renewing.
		if time.Since(asked) >= s.config.RetryPeriod {
			break
		}
	}
	return errors.Join(errs...)
}

// renew keeps the replica's Lease alive. It leaves time for another turn before the
// Lease is lost if no answer comes.
func (s *Shards) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.RenewDeadline/2)
	defer cancel()
	return s.roster.renew(ctx)
}

// moves are the shards to give up and to take, and how.
func (s *Shards) moves(view *view, idle []int, share int) iter.Seq2[int, func(context.Context, int) error] {
	return func(yield func(int, func(context.Context, int) error) bool) {
		for _, shard := range idle {
			if !yield(shard, s.giveUp) {
				return
			}
		}
		for shard := range s.config.Count {
			if s.Held() >= share || view.disagree {
				break
			}
			if view.free[shard] && !s.holds(shard) && !yield(shard, s.take) {
				return
			}
		}
		for _, shard := range view.named {
			// The answer to an earlier write was lost.
			if !s.holds(shard) && !yield(shard, s.roster.release) {
				return
			}
		}
	}
}

func (s *Shards) holds(shard int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[shard] != nil
}

// divide marks the shards above share as leaving. It returns those of them that
// nothing is done in any more, and those that were leaving and are not: of them
// work may have been turned away.
func (s *Shards) divide(share int) (idle, kept []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, shard := range slices.Sorted(maps.Keys(s.held)) {
		h := s.held[shard]
		wasLeaving := h.leaving
		h.leaving = i >= share
		switch {
		case h.leaving && h.busy == 0:
			idle = append(idle, shard)
		case wasLeaving && !h.leaving:
			kept = append(kept, shard)
		}
	}
	return idle, kept
}

// take makes the shard this replica's, unless another one was faster.
func (s *Shards) take(ctx context.Context, shard int) error {
	taken, err := s.roster.take(ctx, shard)
	if err != nil || !taken {
		return err
	}
	klog.FromContext(ctx).Info("Took a shard", "shard", shard)
	s.mu.Lock()
	s.held[shard] = &holding{}
	s.mu.Unlock()
	s.changed(shard, true)
	return nil
}

// giveUp lets others take a shard that nothing is done in.
func (s *Shards) giveUp(ctx context.Context, shard int) error {
	s.mu.Lock()
	delete(s.held, shard)
	s.mu.Unlock()
	s.changed(shard, false)
	klog.FromContext(ctx).Info("Gave a shard up", "shard", shard)
	return s.roster.release(ctx, shard)
}

// leave gives everything up, so that others need not wait.
func (s *Shards) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.RenewDeadline)
	defer cancel()
	var errs []error
	idle, _ := s.divide(0)
	for _, shard := range idle {
		errs = append(errs, s.giveUp(ctx, shard))
	}
	return errors.Join(append(errs, s.roster.leave(ctx))...)
}
