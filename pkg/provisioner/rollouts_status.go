package provisioner

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/rollout"
)

// rolloutPlan is in which wave each store is expected to come, by what an engine of a
// generation asks for.
type rolloutPlan struct {
	uid        types.UID
	generation int64
	waves      map[types.UID]int32
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
