package provisioner

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

const (
	// tellAfter is how long a store waits for a worker before its status says so.
	tellAfter = 5 * time.Second
	// tellEvery is the time between two rounds of telling.
	tellEvery = 5 * time.Second
	// tellMost is how many stores of a lane are told in one round.
	tellMost = 20
)

// crier tells stores that wait for a worker that they do, in their status. A store is
// told when it has waited for a while, and again when half of those before it are
// gone, so that a flood of n stores costs each at most log n writes; a round bounds
// what it costs all of them. Its zero value is ready to use.
type crier struct {
	// told is how many were before a store when it was told last.
	told map[types.UID]int
}

// tellWaiting is one round. Nobody waits for work that nobody has asked for: repairs
// are told when somebody is at them.
func (c *Controller) tellWaiting(ctx context.Context) {
	still := map[types.UID]int{}
	for _, l := range []lane{laneCreate, laneChange, laneDelete} {
		before, writes := 0, 0
		for _, s := range c.waiting.inLane(l) {
			store, err := c.storeLister.Stores(s.key.Namespace).Get(s.key.Name)
			if err != nil || !c.shares.Mine(store.UID) {
				continue
			}
			last, told := c.crier.told[store.UID]
			if told {
				still[store.UID] = last
			}
			news := !told || (before < last && before <= last/2)
			if news && writes < tellMost && untouched(store) && c.now().Sub(s.since) >= tellAfter {
				writes++
				still[store.UID] = before
				c.tellQueued(ctx, store, fmt.Sprintf("Waiting for a free worker of the provisioner; before it in the %s queue: %d.", l, before))
			}
			before++
		}
	}
	c.crier.told = still
}

// untouched is true while no worker has been at what the store asks for.
func untouched(s *v1alpha1.Store) bool {
	if s.DeletionTimestamp != nil {
		ready := (&attempt{store: s}).condition(v1alpha1.ConditionReady)
		return hasFinalizer(s) && (ready == nil || ready.Reason != reasonDeleting)
	}
	return s.Status.ObservedGeneration != s.Generation
}

// tellQueued writes that the store waits. What is known of a shop stays true while it
// waits to be changed. A worker that was faster has written something better.
func (c *Controller) tellQueued(ctx context.Context, cached *v1alpha1.Store, message string) {
	a := &attempt{store: cached.DeepCopy()}
	if a.store.Status.ObservedGeneration == 0 {
		a.setCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonQueued, message)
	}
	a.setAbnormal(v1alpha1.ConditionReconciling, v1alpha1.ReasonQueued, message)
	_, err := c.stores.PlatformV1alpha1().Stores(a.store.Namespace).UpdateStatus(ctx, a.store, metav1.UpdateOptions{FieldManager: FieldManager})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		klog.FromContext(ctx).Error(err, "Telling a store that it waits", "store", klog.KObj(a.store))
	}
}
