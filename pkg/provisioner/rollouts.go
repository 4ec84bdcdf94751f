package provisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/rollout"
)

const (
	// rolloutSettles is how long changes of stores are gathered before a rollout is
	// decided on anew.
	rolloutSettles = 200 * time.Millisecond
	// storesPerPage is how many stores are read in one request.
	storesPerPage = 500
)

// rollouts brings the stores that follow an engine's default version to it. Of the
// replicas the one that has the engine's shard does, for all of the engine's stores:
// it gives a store its new version, and whoever has the store upgrades it.
type rollouts struct {
	queue workqueue.TypedRateLimitingInterface[string]

	mu       sync.Mutex
	memories map[string]*rolloutMemory
	plans    map[string]rolloutPlan
}

// rolloutMemory is what is known of an engine's stores beyond the cache.
type rolloutMemory struct {
	uid types.UID
	// written is the resourceVersion of the last status written.
	written string
	// complete says that all has been read that another process has written.
	complete bool
	// newer are stores as they were written or read, until the cache has them.
	newer map[types.UID]*v1alpha1.Store
	// refused are the resourceVersions of stores that do not take the version.
	refused map[types.UID]string
	// generation is the engine's for which they do not.
	generation int64
}

// rolloutPlan is in which wave each store is expected to come, by what an engine of a
// generation asks for.
type rolloutPlan struct {
	uid        types.UID
	generation int64
	waves      map[types.UID]int32
}

func newRollouts() *rollouts {
	return &rollouts{
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](250*time.Millisecond, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: "engines"}),
		memories: map[string]*rolloutMemory{}, plans: map[string]rolloutPlan{},
	}
}

func (r *rollouts) wake(engine string) { r.queue.AddAfter(engine, rolloutSettles) }

func (r *rollouts) remember(engine *v1alpha1.Engine) *rolloutMemory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.memories[engine.Name]
	if m == nil || m.uid != engine.UID {
		m = &rolloutMemory{uid: engine.UID, newer: map[types.UID]*v1alpha1.Store{}}
		r.memories[engine.Name] = m
	}
	return m
}

func (r *rollouts) forget(engine string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memories, engine)
}

// wakeRollouts has rollouts decided on when engines or their stores change.
func (c *Controller) wakeRollouts(stores, engines cache.SharedIndexInformer) error {
	wakeStores := func(obj any) {
		if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = tombstone.Obj
		}
		if store, ok := obj.(*v1alpha1.Store); ok && store.Spec.UpgradePolicy == v1alpha1.UpgradePolicyAutomatic {
			c.rollouts.wake(store.Spec.Engine)
		}
	}
	_, errStores := stores.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: wakeStores, DeleteFunc: wakeStores,
		UpdateFunc: func(before, after any) { wakeStores(before); wakeStores(after) },
	})
	wakeEngine := func(obj any) {
		if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			c.rollouts.wake(key.Name)
		}
	}
	_, errEngines := engines.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: wakeEngine, UpdateFunc: func(_, obj any) { wakeEngine(obj) }, DeleteFunc: wakeEngine,
	})
	return errors.Join(errStores, errEngines)
}

// rolloutsMoved begins to decide for the engines of a shard that has come. What was
// known of those of one that goes may not be true when it comes back.
func (c *Controller) rolloutsMoved(shard int, mine bool) {
	engines, err := c.engineLister.List(labels.Everything())
	if err != nil {
		return
	}
	for _, engine := range engines {
		switch {
		case c.shares.Of(engine.UID) != shard:
		case mine:
			c.rollouts.wake(engine.Name)
		default:
			c.rollouts.forget(engine.Name)
		}
	}
}

// workOnRollouts decides on rollout after rollout until the queue is shut down.
func (c *Controller) workOnRollouts(ctx context.Context) {
	for {
		name, shutdown := c.rollouts.queue.Get()
		if shutdown {
			return
		}
		if !c.rollouts.queue.ShuttingDown() {
			c.workOnRollout(ctx, name)
		}
		c.rollouts.queue.Done(name)
	}
}

func (c *Controller) workOnRollout(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	again, err := c.rollOut(ctx, name)
	switch {
	case err == nil:
		c.rollouts.queue.Forget(name)
	case !apierrors.IsConflict(err):
		klog.FromContext(ctx).Error(err, "Rolling an engine's version out", "engine", name)
		fallthrough
	default:
		c.rollouts.queue.AddRateLimited(name)
	}
	if again > 0 {
		c.rollouts.queue.AddAfter(name, again)
	}
}

// rollOut does what is next for an engine: it writes down how far the rollout is, and
// then gives the version to those whose turn it is.
func (c *Controller) rollOut(ctx context.Context, name string) (time.Duration, error) {
	engine, err := c.engineLister.Get(name)
	if apierrors.IsNotFound(err) {
		c.rollouts.forget(name)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if engine.Spec.Rollout == nil && apiequality.Semantic.DeepEqual(engine.Status, v1alpha1.EngineStatus{}) {
		return 0, nil
	}
	end, ok := c.shares.Begin(engine.UID)
	if !ok {
		return 0, nil
	}
	defer end()
	m := c.rollouts.remember(engine)
	if m.written != "" && older(engine.ResourceVersion, m.written) {
		// The cache will tell.
		return 0, nil
	}
	if engine.Spec.Rollout == nil {
		return 0, c.writeRollout(ctx, engine, m, v1alpha1.EngineStatus{})
	}
	decision := c.decide(engine, m)
	if len(decision.Next) > 0 && !m.complete {
		if err := c.readFleet(ctx, engine, m); err != nil {
			return 0, err
		}
		decision = c.decide(engine, m)
	}
	if err := c.writeRollout(ctx, engine, m, c.engineStatus(engine, &decision.Status)); err != nil {
		return 0, err
	}
	return decision.Again, c.giveVersion(ctx, engine, m, &decision)
}

// decide asks for a decision on what is known of the stores.
func (c *Controller) decide(engine *v1alpha1.Engine, m *rolloutMemory) rollout.Decision {
	if m.generation != engine.Generation {
		m.generation, m.refused = engine.Generation, map[types.UID]string{}
	}
	stores := c.storesOf(engine.Name)
	refused := sets.New[types.UID]()
	for i, s := range stores {
		if newer := m.newer[s.UID]; newer != nil {
			if older(s.ResourceVersion, newer.ResourceVersion) {
				stores[i] = newer
			} else {
				delete(m.newer, s.UID)
			}
		}
		if version, ok := m.refused[s.UID]; ok && version == stores[i].ResourceVersion {
			refused.Insert(s.UID)
		}
	}
	return rollout.Decide(engine, stores, refused, c.now())
}

func (c *Controller) storesOf(engine string) []*v1alpha1.Store {
	objs, _ := c.storeIndex.ByIndex(storesByEngine, engine)
	stores := make([]*v1alpha1.Store, 0, len(objs))
	for _, obj := range objs {
		stores = append(stores, obj.(*v1alpha1.Store))
	}
	return stores
}

// older is true if one resourceVersion is before another.
func older(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

// readFleet reads the engine's stores as they are now. The cache of a process that has
// just come to decide may be behind what the one before it has written, and more
// stores would be upgraded at once than may be.
func (c *Controller) readFleet(ctx context.Context, engine *v1alpha1.Engine, m *rolloutMemory) error {
	options := metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(v1alpha1.FieldEngine, engine.Name).String(),
		Limit:         storesPerPage,
	}
	for {
		page, err := c.stores.PlatformV1alpha1().Stores(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return fmt.Errorf("listing the stores of engine %s: %w", engine.Name, err)
		}
		for i := range page.Items {
			m.newer[page.Items[i].UID] = &page.Items[i]
		}
		if options.Continue = page.Continue; options.Continue == "" {
			m.complete = true
			return nil
		}
	}
}

// giveVersion gives the version to the stores whose turn it is. What was changed since
// it was looked at is looked at again.
func (c *Controller) giveVersion(ctx context.Context, engine *v1alpha1.Engine, m *rolloutMemory, decision *rollout.Decision) error {
	var errs []error
	for _, store := range decision.Next {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{
				"uid": store.UID, "resourceVersion": store.ResourceVersion,
				"annotations": map[string]string{
					v1alpha1.AnnotationRolloutVersion: decision.Status.Version,
					v1alpha1.AnnotationRolloutWave:    strconv.Itoa(int(decision.Status.Wave)),
				},
			},
			"spec": map[string]any{"version": decision.Status.Version},
		})
		if err != nil {
			return fmt.Errorf("describing the upgrade of store %s: %w", keyOf(store), err)
		}
		given, err := c.stores.PlatformV1alpha1().Stores(store.Namespace).Patch(ctx, store.Name, types.MergePatchType, patch,
			metav1.PatchOptions{FieldManager: FieldManager})
		switch {
		case err == nil:
			m.newer[given.UID] = given
		case apierrors.IsNotFound(err):
		case apierrors.IsInvalid(err), apierrors.IsForbidden(err):
			m.refused[store.UID] = store.ResourceVersion
			c.events.Eventf(store, engine, corev1.EventTypeWarning, "UpgradeRefused", "RollOut", "%s", clip(err.Error()))
			c.rollouts.wake(engine.Name)
		default:
			errs = append(errs, fmt.Errorf("upgrading store %s to %s: %w", keyOf(store), decision.Status.Version, err))
		}
	}
	return errors.Join(errs...)
}

// engineStatus is the status of an engine whose rollout is at what status says.
func (c *Controller) engineStatus(engine *v1alpha1.Engine, status *v1alpha1.RolloutStatus) v1alpha1.EngineStatus {
	status.Message = clip(status.Message)
	next := v1alpha1.EngineStatus{ObservedGeneration: engine.Generation, Conditions: engine.DeepCopy().Status.Conditions, Rollout: status}
	for conditionType, phase := range map[string]v1alpha1.RolloutPhase{
		v1alpha1.ConditionRolledOut: v1alpha1.RolloutComplete, v1alpha1.ConditionReconciling: v1alpha1.RolloutProgressing, v1alpha1.ConditionStalled: v1alpha1.RolloutHalted,
	} {
		condition := metav1.Condition{
			Type: conditionType, Status: metav1.ConditionTrue, Reason: string(status.Phase), Message: status.Message, ObservedGeneration: engine.Generation,
		}
		switch {
		case status.Phase == phase:
			meta.SetStatusCondition(&next.Conditions, condition)
		case conditionType == v1alpha1.ConditionRolledOut:
			condition.Status = metav1.ConditionFalse
			meta.SetStatusCondition(&next.Conditions, condition)
		default:
			meta.RemoveStatusCondition(&next.Conditions, conditionType)
		}
	}
	return next
}

// writeRollout stores the status of an engine if it has changed, and tells of it. An
// engine that was changed since it was read is a conflict: nothing is done by what it
// asked for before.
func (c *Controller) writeRollout(ctx context.Context, engine *v1alpha1.Engine, m *rolloutMemory, status v1alpha1.EngineStatus) error {
	if apiequality.Semantic.DeepEqual(engine.Status, status) {
		return nil
	}
	changed := engine.DeepCopy()
	changed.Status = status
	written, err := c.stores.PlatformV1alpha1().Engines().UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: FieldManager})
	if err != nil {
		return fmt.Errorf("writing the status of engine %s: %w", engine.Name, err)
	}
	m.written = written.ResourceVersion
	c.tellRollout(engine, status.Rollout)
	return nil
}

// tellRollout makes an event of what is news.
func (c *Controller) tellRollout(engine *v1alpha1.Engine, now *v1alpha1.RolloutStatus) {
	before := engine.Status.Rollout
	if now == nil {
		return
	}
	if before == nil {
		before = &v1alpha1.RolloutStatus{Version: now.Version, Phase: v1alpha1.RolloutComplete}
	}
	tell := func(eventType, reason, message string) {
		c.events.Eventf(engine, nil, eventType, reason, "RollOut", "%s", message)
	}
	if now.Wave > 0 && (now.Wave > before.Wave || now.Version != before.Version) {
		tell(corev1.EventTypeNormal, "WaveBegun", fmt.Sprintf("Wave %d of %d of version %s begins.", now.Wave, now.Waves, now.Version))
	}
	if now.Phase == before.Phase && now.Version == before.Version {
		return
	}
	switch now.Phase {
	case v1alpha1.RolloutHalted:
		tell(corev1.EventTypeWarning, "RolloutHalted", now.Message)
	case v1alpha1.RolloutPaused:
		tell(corev1.EventTypeNormal, "RolloutPaused", now.Message)
	case v1alpha1.RolloutComplete:
		tell(corev1.EventTypeNormal, "RolloutComplete", now.Message)
	case v1alpha1.RolloutProgressing:
		if before.Phase != v1alpha1.RolloutComplete {
			tell(corev1.EventTypeNormal, "RolloutResumed", now.Message)
		}
	}
}

// The reasons of UpgradePending.
const (
	reasonWaitingForWave = "WaitingForWave"
	reasonSuspended      = "Suspended"
	reasonHibernated     = "Hibernated"
)

// notePending says whether the store is to be upgraded by a rollout, and when.
func (c *Controller) notePending(engine *v1alpha1.Engine, a *attempt) {
	if engine == nil || !rollout.Pending(engine, a.store) {
		meta.RemoveStatusCondition(&a.store.Status.Conditions, v1alpha1.ConditionUpgradePending)
		return
	}
	reason, when := reasonWaitingForWave, "with "+c.waveOf(engine, a.store)
	switch {
	case a.store.Spec.Suspend:
		reason, when = reasonSuspended, "when the store is not suspended any more"
	case a.store.Spec.PowerState == v1alpha1.PowerStateHibernated:
		reason, when = reasonHibernated, "when the store runs again"
	}
	a.setCondition(v1alpha1.ConditionUpgradePending, metav1.ConditionTrue, reason,
		fmt.Sprintf("Version %s comes %s; status.rollout of engine %s tells how far it is.", engine.Spec.DefaultVersion, when, engine.Name))
}

// waveOf names the wave with which the store is expected to come. It is worked out
// once for what the engine asks for: the status of a store that waits is not written
// again for every other that does not any more.
func (c *Controller) waveOf(engine *v1alpha1.Engine, s *v1alpha1.Store) string {
	c.rollouts.mu.Lock()
	defer c.rollouts.mu.Unlock()
	plan := c.rollouts.plans[engine.Name]
	if plan.uid != engine.UID || plan.generation != engine.Generation {
		plan = rolloutPlan{engine.UID, engine.Generation, rollout.Waves(engine, c.storesOf(engine.Name))}
		c.rollouts.plans[engine.Name] = plan
	}
	if wave := plan.waves[s.UID]; wave > 0 {
		return fmt.Sprintf("wave %d of its rollout", wave)
	}
	return "a later wave of its rollout"
}

var (
	rolloutStoresDesc = metrics.NewDesc("stores_rollout_stores",
		"Stores that follow the default version of an engine, by how far they have come to it.", []string{"engine", "state"}, nil, metrics.ALPHA, "")
	rolloutPhaseDesc = metrics.NewDesc("stores_rollout_phase",
		"The phase that the rollout of an engine's default version is in.", []string{"engine", "phase"}, nil, metrics.ALPHA, "")
)

// collectRollouts tells of the engines in this replica's share.
func (c *Controller) collectRollouts(gauge func(desc *metrics.Desc, value float64, labels ...string)) {
	engines, err := c.engineLister.List(labels.Everything())
	if err != nil {
		return
	}
	for _, engine := range engines {
		status := engine.Status.Rollout
		if status == nil || !c.shares.Mine(engine.UID) {
			continue
		}
		gauge(rolloutPhaseDesc, 1, engine.Name, string(status.Phase))
		for state, stores := range map[string]int32{
			"updated": status.Updated, "ready": status.Ready, "failed": status.Failed, "waiting": status.Waiting, "leftOut": status.LeftOut,
		} {
			gauge(rolloutStoresDesc, float64(stores), engine.Name, state)
		}
	}
}
