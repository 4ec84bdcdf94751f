package shards

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/ptr"
)

const (
	// leasePrefix begins the name of every Lease of the provisioner.
	leasePrefix = "stores-provisioner-"
	// shardPrefix begins the name of every shard's Lease; its number ends it.
	shardPrefix = leasePrefix + kindShard + "-"
	// labelKind tells the Leases of shards from those of replicas.
	labelKind    = "platform.dev/provisioner-lease"
	kindShard    = "shard"
	kindReplica  = "replica"
	shardsNoteOf = "platform.dev/shards" // on a replica's Lease: its Count
)

// roster reads and writes the Leases of all replicas. It is used by one
// goroutine.
type roster struct {
	config Config
	// name is that of this replica's Lease. A create whose answer was lost must
	// not lead to a second one.
	name string
	self *coordinationv1.Lease
	// shards are the shards' Leases as they were seen last.
	shards map[int]*coordinationv1.Lease
	// seen is when each replica's Lease was last seen to change, by holder.
	seen map[string]sighting
}

type sighting struct {
	version string
	at      time.Time
}

// view is who is there, and which shards can be taken.
type view struct {
	replicas []string // sorted, this one among them
	free     map[int]bool
	named    []int // the shards whose Leases name this replica
	// disagree says that a live replica has another number of shards.
	disagree bool
}

func newRoster(config Config) *roster {
	return &roster{config: config, name: leasePrefix + string(uuid.NewUUID()), shards: map[int]*coordinationv1.Lease{}, seen: map[string]sighting{}}
}

// share is how many of count shards the replica is to hold. The shares of all
// add up to count and differ by one at most.
func (v *view) share(identity string, count int) int {
	share := count / len(v.replicas)
	if slices.Index(v.replicas, identity) < count%len(v.replicas) {
		share++
	}
	return share
}

// renew keeps this replica's Lease alive, and makes it if need be. What became of an
// earlier write whose answer was lost renews nothing: others may have seen it long ago.
func (r *roster) renew(ctx context.Context) error {
	err := r.write(ctx)
	if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		return err
	}
	// That write, or somebody has labelled the Lease.
	if r.self, err = r.config.Leases.Get(ctx, r.name, metav1.GetOptions{}); err != nil {
		r.self = nil
		return err
	}
	return r.write(ctx)
}

// write renews this replica's Lease as it was read last, or makes one.
func (r *roster) write(ctx context.Context) error {
	now := metav1.NowMicro()
	if r.self != nil {
		lease := r.self.DeepCopy()
		lease.Spec.RenewTime = &now
		updated, err := r.config.Leases.Update(ctx, lease, metav1.UpdateOptions{})
		if err == nil {
			r.self = updated
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	created, err := r.config.Leases.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name:        r.name,
			Labels:      map[string]string{labelKind: kindReplica},
			Annotations: map[string]string{shardsNoteOf: strconv.Itoa(r.config.Count)},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &r.config.Identity, AcquireTime: &now, RenewTime: &now,
			LeaseDurationSeconds: ptr.To(int32(max(r.config.LeaseDuration/time.Second, 1))),
		},
	}, metav1.CreateOptions{})
	if err == nil {
		r.self = created
	}
	return err
}

// look reads all Leases in one request.
func (r *roster) look(ctx context.Context) (*view, error) {
	list, err := r.config.Leases.List(ctx, metav1.ListOptions{LabelSelector: labelKind})
	if err != nil {
		return nil, fmt.Errorf("listing the leases: %w", err)
	}
	now := time.Now()
	v := &view{replicas: []string{r.config.Identity}, free: map[int]bool{}}
	clear(r.shards)
	holders := map[string]bool{}
	var dead []*coordinationv1.Lease
	for i := range list.Items {
		lease := &list.Items[i]
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		if lease.Labels[labelKind] == kindShard {
			holders[holder] = true
			if shard, ok := shardOf(lease); ok {
				r.shards[shard] = lease
			}
			continue
		}
		switch {
		case holder == "": // Nobody's: no replica has made it.
		case holder == r.config.Identity:
		case r.expired(holder, lease.ResourceVersion, now):
			dead = append(dead, lease)
		default:
			v.replicas = append(v.replicas, holder)
			v.disagree = v.disagree || lease.Annotations[shardsNoteOf] != strconv.Itoa(r.config.Count)
		}
	}
	slices.Sort(v.replicas)
	v.replicas = slices.Compact(v.replicas)
	for shard := range r.config.Count {
		lease := r.shards[shard]
		v.free[shard] = r.isFree(lease, v.replicas, now)
		if lease != nil && ptr.Deref(lease.Spec.HolderIdentity, "") == r.config.Identity {
			v.named = append(v.named, shard)
		}
	}
	for _, lease := range dead {
		// It goes when nothing refers to it any more, so that nobody takes its
		// absence for something new.
		if holder := *lease.Spec.HolderIdentity; !holders[holder] && r.remove(ctx, lease) == nil {
			delete(r.seen, holder)
		}
	}
	return v, nil
}

// shardOf returns the shard whose Lease this is. Anybody may have put the label on
// another Lease.
func shardOf(lease *coordinationv1.Lease) (int, bool) {
	number, ok := strings.CutPrefix(lease.Name, shardPrefix)
	if !ok {
		return 0, false
	}
	shard, err := strconv.Atoi(number)
	return shard, err == nil
}

// isFree is true if the shard's Lease names nobody, or nobody who lives. One that
// names this replica, which does not hold it, is left from a write whose answer
// was lost.
func (r *roster) isFree(lease *coordinationv1.Lease, replicas []string, now time.Time) bool {
	if lease == nil {
		return true
	}
	switch holder := ptr.Deref(lease.Spec.HolderIdentity, ""); {
	case holder == "" || holder == r.config.Identity:
		return true
	case slices.Contains(replicas, holder):
		return false
	default:
		// The holder's own Lease may have been deleted: that proves nothing.
		at, known := r.seen[holder]
		if !known {
			at = sighting{at: now}
			r.seen[holder] = at
		}
		return now.Sub(at.at) > r.config.LeaseDuration
	}
}

// expired is true if the Lease of a replica has not changed for its duration.
func (r *roster) expired(holder, version string, now time.Time) bool {
	if last, known := r.seen[holder]; !known || last.version != version {
		r.seen[holder] = sighting{version: version, at: now}
		return false
	}
	return now.Sub(r.seen[holder].at) > r.config.LeaseDuration
}

// take writes this replica into the shard's Lease. It returns false if somebody
// has written it since it was read.
func (r *roster) take(ctx context.Context, shard int) (bool, error) {
	now := metav1.NowMicro()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: shardPrefix + strconv.Itoa(shard), Labels: map[string]string{labelKind: kindShard},
	}}
	write := func() (*coordinationv1.Lease, error) {
		return r.config.Leases.Create(ctx, lease, metav1.CreateOptions{})
	}
	if last := r.shards[shard]; last != nil {
		lease = last.DeepCopy()
		write = func() (*coordinationv1.Lease, error) {
			return r.config.Leases.Update(ctx, lease, metav1.UpdateOptions{})
		}
	}
	lease.Spec.HolderIdentity, lease.Spec.AcquireTime, lease.Spec.RenewTime = &r.config.Identity, &now, nil
	lease.Spec.LeaseTransitions = ptr.To(ptr.Deref(lease.Spec.LeaseTransitions, -1) + 1)
	written, err := write()
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("taking shard %d: %w", shard, err)
	}
	r.shards[shard] = written
	return true, nil
}

// release writes nobody into the shard's Lease, if this replica is in it.
func (r *roster) release(ctx context.Context, shard int) error {
	lease, err := r.config.Leases.Get(ctx, shardPrefix+strconv.Itoa(shard), metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the lease of shard %d: %w", shard, err)
	}
	if ptr.Deref(lease.Spec.HolderIdentity, "") != r.config.Identity {
		return nil
	}
	lease.Spec.HolderIdentity, lease.Spec.AcquireTime = nil, nil
	if _, err := r.config.Leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("giving up shard %d: %w", shard, err)
	}
	return nil
}

// leave deletes this replica's Lease.
func (r *roster) leave(ctx context.Context) error {
	if r.self == nil {
		return nil
	}
	return r.config.Leases.Delete(ctx, r.self.Name, metav1.DeleteOptions{})
}

// remove deletes the Lease of a replica that is no more, unless it has changed.
func (r *roster) remove(ctx context.Context, lease *coordinationv1.Lease) error {
	return r.config.Leases.Delete(ctx, lease.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
	})
}
