package provisioner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func keyOf(s *v1alpha1.Store) cache.ObjectName { return cache.MetaObjectToName(s) }

// reconcile does what is next for the store that key names. It returns when to
// look again without being woken, 0 for never. An error means that it could not
// be found out or written down what is; it is to be tried again.
func (c *Controller) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	cached, err := c.storeLister.Stores(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.forget(key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// What another replica works on wakes this one too, and is none of its
	// business. It looks at all of a shard's stores when the shard is its own.
	end, ok := c.shares.Begin(cached.UID)
	if !ok {
		return 0, nil
	}
	defer end()
	c.instruments.inflight.Inc()
	defer c.instruments.inflight.Dec()
	store, err := c.read(ctx, cached)
	if apierrors.IsNotFound(err) {
		c.forget(key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	a := &attempt{
		store:     store,
		namespace: NamespaceName(store),
		memory:    c.remember(key, store.UID),
		base:      store.Status.DeepCopy(),
	}
	a.memory.namespace = a.namespace
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("store", klog.KObj(store), "uid", store.UID, "generation", store.Generation))
	switch {
	case store.DeletionTimestamp != nil:
		// Whoever deletes a suspended store means it.
		return c.delete(ctx, a)
	case store.Spec.Suspend:
		return 0, c.suspend(ctx, a)
	}
	return c.provision(ctx, a)
}

// read returns a copy of the store that holds at least the status that was
// written last, by this process or by the replica that had the store before: the
// cache may not have seen it yet. What looks new is taken as it is: before anything
// is done for it, a write of its status tells whether it is (begin).
func (c *Controller) read(ctx context.Context, cached *v1alpha1.Store) (*v1alpha1.Store, error) {
	written := c.remember(keyOf(cached), cached.UID).written
	switch {
	case written == "" && isNew(cached):
		return cached.DeepCopy(), nil
	case written != "":
		if order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, written); err == nil && order >= 0 {
			return cached.DeepCopy(), nil
		}
	}
	fresh, err := c.stores.PlatformV1alpha1().Stores(cached.Namespace).Get(ctx, cached.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading store %s: %w", keyOf(cached), err)
	}
	if fresh.UID != cached.UID {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("stores"), cached.Name)
	}
	c.remember(keyOf(cached), cached.UID).written = fresh.ResourceVersion
	return fresh, nil
}

// isNew is true for a store that is to be provisioned and that no worker has been at.
func isNew(store *v1alpha1.Store) bool {
	return store.Status.ObservedGeneration == 0 && store.DeletionTimestamp == nil && !store.Spec.Suspend
}

// begin tells that a new store is worked on. A store that is not as the cache has it is
// left to the next attempt, which reads it.
func (c *Controller) begin(ctx context.Context, a *attempt) error {
	c.stopAt(a, stepNames[0], waiting("Starting", "The store is being provisioned.", 0))
	written, err := c.stores.PlatformV1alpha1().Stores(a.store.Namespace).UpdateStatus(ctx, a.store, metav1.UpdateOptions{FieldManager: FieldManager})
	if err != nil {
		a.memory.written = unreadVersion
		return fmt.Errorf("beginning with store %s/%s: %w", a.store.Namespace, a.store.Name, err)
	}
	a.wrote(written)
	return nil
}

// suspend leaves everything as it is, and says so.
func (c *Controller) suspend(ctx context.Context, a *attempt) error {
	engine, err := c.engineLister.Get(a.store.Spec.Engine)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	c.notePending(engine, a)
	status := metav1.ConditionUnknown
	if ready := a.condition(v1alpha1.ConditionReady); ready != nil {
		status = ready.Status
	}
	a.setCondition(v1alpha1.ConditionReady, status, reasonSuspended, "The provisioner leaves the store as it is while spec.suspend is true.")
	a.setAbnormal("", "", "")
	a.store.Status.ObservedGeneration = a.store.Generation
	return c.writeStatus(ctx, a)
}

// provision runs the steps until one is not done, and writes down how far they
// came. A step that met an error changes nothing that was true before: Ready
// follows evidence, and an API server that does not answer is none.
func (c *Controller) provision(ctx context.Context, a *attempt) (time.Duration, error) {
	if isNew(a.store) && a.memory.written == "" {
		if err := c.begin(ctx, a); err != nil {
			return 0, err
		}
	}
	engine, err := c.engineLister.Get(a.store.Spec.Engine)
	switch {
	case apierrors.IsNotFound(err):
		c.stopAt(a, stepNames[0], stalled("EngineNotFound", fmt.Sprintf("There is no engine %q.", a.store.Spec.Engine)))
		return 0, c.writeStatus(ctx, a)
	case err != nil:
		return 0, err
	}
	a.engine = engine
	c.watches.start(a.namespace)
	if again, rests := c.rests(a); rests {
		return again, nil
	}
	a.store.Status.Namespace = a.namespace
	a.store.Status.URL, a.store.Status.AdminURL = c.platform.URL(a.store), c.platform.AdminURL(engine, a.store)
	c.notePending(engine, a)
	if a.request, a.problem, err = c.wanted(ctx, a); err != nil {
		return 0, err
	}
	if a.request != nil && a.store.Status.Release != nil && !a.takenBack() {
		// The store asks for something else than what has failed.
		a.store.Status.Release.Failed = nil
	}
	return c.runSteps(ctx, a)
}

// runSteps runs the steps that are not known to be done.
func (c *Controller) runSteps(ctx context.Context, a *attempt) (time.Duration, error) {
	var again time.Duration
	var tookBack *result
	settled := a.settled()
	for i := a.firstStep; i < len(stepNames); i++ {
		name := stepNames[i]
		r, err := c.runStep(ctx, a, name)
		if err != nil {
			a.memory.untouched, a.memory.founded = false, rested{}
			if apierrors.IsForbidden(err) {
				// Perhaps the RoleBinding is gone.
				a.memory.appliedChange = -1
			}
			if !a.isTrue(name) {
				c.stopAt(a, name, failed("Error", err.Error(), 0))
			}
			return 0, errors.Join(fmt.Errorf("%s: %w", name, err), c.writeStatus(ctx, a))
		}
		if name == v1alpha1.ConditionReleaseInstalled {
			a.noteFoundation(r)
		}
		if r.outcome != outcomeDone {
			if name != v1alpha1.ConditionStorefrontReady {
				// An answer counts only if all before it was done when it came.
				c.probes.forget(a.store.UID)
			}
			switch released := slices.Index(stepNames, v1alpha1.ConditionReleaseInstalled); {
			case i > released:
				r = c.overdue(a, name, r, i*100_000+a.reached())
			case i < released || a.problem != nil:
				r = c.tooLong(a, name, r)
			}
			c.stopAt(a, name, r)
			if err := c.writeStatus(ctx, a); err != nil {
				return 0, err
			}
			if name == v1alpha1.ConditionStorefrontReady && tookBack == nil {
				a.noteRest()
			}
			return r.again, nil
		}
		c.record(a, name, r)
		if r.tookBack {
			tookBack = &r
		}
		again = r.again
	}
	widened, err := c.finish(ctx, a, settled, tookBack)
	if widened {
		again = time.Millisecond
	}
	return again, err
}

// finish notes that all steps are done; tookBack is set if one is done with what was
// before, and settled if it was so already. It is true if the namespace's bounds were
// left wider than the plan's, for no reason now.
func (c *Controller) finish(ctx context.Context, a *attempt, settled bool, tookBack *result) (widened bool, err error) {
	if !a.everReady() && !a.isTrue(v1alpha1.ConditionReady) {
		c.instruments.provisioned(a.store, c.now(), resultSuccess)
	}
	a.noteReady()
	a.memory.progress = progress{}
	if a.growing, err = c.growingVolumes(ctx, a); err != nil {
		return false, err
	}
	c.summarize(a, tookBack)
	widened = !settled && a.memory.madeFor != a.target()
	if err := c.writeStatus(ctx, a); err != nil {
		return false, err
	}
	if !widened {
		a.noteRest()
	}
	return widened, nil
}
