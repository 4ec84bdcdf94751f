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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
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
	if m.written != "" && order(engine.ResourceVersion, m.written) < 0 {
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
			if order(s.ResourceVersion, newer.ResourceVersion) < 0 {
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
