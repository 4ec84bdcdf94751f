package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// maxMessage bounds what a message may hold; the API takes no more in an event.
const maxMessage = 1024

// clip bounds a message, cutting between characters.
func clip(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage-len("...")], "") + "..."
}

func (a *attempt) condition(conditionType string) *metav1.Condition {
	return meta.FindStatusCondition(a.store.Status.Conditions, conditionType)
}

func (a *attempt) isTrue(conditionType string) bool {
	return meta.IsStatusConditionTrue(a.store.Status.Conditions, conditionType)
}

func (a *attempt) setCondition(conditionType string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&a.store.Status.Conditions, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: clip(message),
		ObservedGeneration: a.store.Generation,
	})
}

// begin marks the step of a condition as being worked on since now, unless it
// is already.
func (a *attempt) begin(condition string, now time.Time) {
	s := a.stepOf(condition)
	if s.StartTime == nil || s.EndTime != nil {
		start := metav1.NewTime(now).Rfc3339Copy()
		s.StartTime, s.EndTime = &start, nil
	}
	if s.State != v1alpha1.StepFailed {
		s.State = v1alpha1.StepRunning
	}
}

// stepOf is the status of the step, made along with all others if need be.
func (a *attempt) stepOf(condition string) *v1alpha1.StoreStep {
	for {
		for i := range a.store.Status.Steps {
			if a.store.Status.Steps[i].Name == condition {
				return &a.store.Status.Steps[i]
			}
		}
		a.store.Status.Steps = nil
		for _, name := range stepNames {
			a.store.Status.Steps = append(a.store.Status.Steps, v1alpha1.StoreStep{Name: name, State: v1alpha1.StepPending})
		}
	}
}

// record puts what a step found into its condition and its entry in steps, and
// tells of it in an event if it is a problem and news. That a step is done is told by
// the status, with its times.
func (c *Controller) record(a *attempt, condition string, r result) {
	before := a.condition(condition)
	news := before == nil || before.Reason != r.reason
	step := a.stepOf(condition)
	status := metav1.ConditionFalse
	switch {
	case r.tookBack:
		if step.State != v1alpha1.StepFailed || step.EndTime == nil {
			a.begin(condition, c.now())
			end := c.timestamp()
			step.State, step.EndTime = v1alpha1.StepFailed, &end
			c.observeStep(a, step, resultFailure)
		}
		step.Message = clip(r.message)
	case r.outcome == outcomeDone:
		status = metav1.ConditionTrue
		if step.State != v1alpha1.StepDone {
			a.begin(condition, c.now())
			end := c.timestamp()
			step.State, step.EndTime = v1alpha1.StepDone, &end
			c.observeStep(a, step, resultSuccess)
		}
		step.Message, step.ProgressTime = "", nil
	default:
		a.begin(condition, c.now())
		step.State, step.Message = v1alpha1.StepRunning, clip(r.message)
		switch {
		case r.outcome == outcomeFailed:
			step.State = v1alpha1.StepFailed
		case r.idle:
			step.State, step.StartTime = v1alpha1.StepPending, nil
		}
	}
	a.setCondition(condition, status, r.reason, r.message)
	if news && r.isProblem() {
		c.instruments.failure(a.store.Spec.Engine, condition, r.reason)
		c.events.Eventf(a.store, nil, corev1.EventTypeWarning, r.reason, condition, "%s", clip(r.message))
	}
}

func (c *Controller) observeStep(a *attempt, step *v1alpha1.StoreStep, result string) {
	c.instruments.step.WithLabelValues(a.store.Spec.Engine, step.Name, result).Observe(step.EndTime.Sub(step.StartTime.Time).Seconds())
}

// stopAt records a step that is not done, and what that means for the steps
// after it, of which nothing is known now, and for the store.
func (c *Controller) stopAt(a *attempt, name string, r result) {
	if r.reason == "" {
		// What others report does not always come with one, and the API wants one.
		r.reason = "Unknown"
	}
	c.record(a, name, r)
	for _, later := range stepNames[slices.Index(stepNames, name)+1:] {
		a.setCondition(later, metav1.ConditionUnknown, "Waiting", fmt.Sprintf("Waiting for %s.", name))
		*a.stepOf(later) = v1alpha1.StoreStep{Name: later, State: v1alpha1.StepPending}
	}
	c.summarize(a, &r)
}

// summarize sets Ready, and Reconciling or Stalled, by the step that is not
// done, or is done with what was before; r is nil if all are as asked for.
func (c *Controller) summarize(a *attempt, r *result) {
	a.store.Status.ObservedGeneration = a.store.Generation
	wasReady := a.isTrue(v1alpha1.ConditionReady)
	if r == nil || r.tookBack {
		reason, message := "Selling", "The shop sells at "+a.store.Status.URL+"."
		switch {
		case r == nil && a.growing == "":
			a.setAbnormal("", "", "")
		case r == nil:
			a.setAbnormal(v1alpha1.ConditionReconciling, reasonResizing, a.growing)
		default:
			reason, message = r.reason, message+" "+r.message
			a.setAbnormal(v1alpha1.ConditionStalled, r.reason, r.message)
		}
		a.setCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message)
		if !wasReady {
			c.events.Eventf(a.store, nil, corev1.EventTypeNormal, "Ready", "Provision", "The shop sells at %s.", a.store.Status.URL)
		}
		return
	}
	switch {
	case r.stalled:
		if !a.everReady() && !a.isTrue(v1alpha1.ConditionStalled) {
			c.instruments.provisioned(a.store, c.now(), resultFailure)
		}
		a.setAbnormal(v1alpha1.ConditionStalled, r.reason, r.message)
	case r.idle:
		a.setAbnormal("", "", "")
	default:
		a.setAbnormal(v1alpha1.ConditionReconciling, r.reason, r.message)
	}
	a.setCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, r.reason, r.message)
	if wasReady {
		c.events.Eventf(a.store, nil, r.eventType(), "NotReady", "Provision", "%s", clip(r.message))
	}
}

// setAbnormal makes one of Reconciling and Stalled true, or neither if the type
// is empty, and takes away what is not true: kstatus expects them only while
// they apply.
func (a *attempt) setAbnormal(conditionType, reason, message string) {
	for _, t := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if t != conditionType {
			meta.RemoveStatusCondition(&a.store.Status.Conditions, t)
		}
	}
	if conditionType != "" {
		a.setCondition(conditionType, metav1.ConditionTrue, reason, message)
	}
}

// wrote notes that the status is stored.
func (a *attempt) wrote(written *v1alpha1.Store) {
	a.memory.written = written.ResourceVersion
	a.store.ResourceVersion = written.ResourceVersion
	a.base = a.store.Status.DeepCopy()
}

// writeStatus stores the status if it has changed. After a conflict it is put on the
// store as it is now, but for conditions that somebody else has written meanwhile: of
// the rest of the status only this controller is a writer.
func (c *Controller) writeStatus(ctx context.Context, a *attempt) error {
	if apiequality.Semantic.DeepEqual(a.base, &a.store.Status) {
		return nil
	}
	client := c.stores.PlatformV1alpha1().Stores(a.store.Namespace)
	toWrite := a.store
	for {
		written, err := client.UpdateStatus(ctx, toWrite, metav1.UpdateOptions{FieldManager: FieldManager})
		if err == nil {
			a.wrote(written)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("writing the status of store %s/%s: %w", a.store.Namespace, a.store.Name, err)
		}
		now, err := client.Get(ctx, a.store.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading store %s/%s: %w", a.store.Namespace, a.store.Name, err)
		}
		if now.UID != a.store.UID {
			return fmt.Errorf("store %s/%s is another one now", a.store.Namespace, a.store.Name)
		}
		a.takeConditions(now.Status.Conditions)
		toWrite = now.DeepCopy()
		toWrite.Status = *a.store.Status.DeepCopy()
	}
}

// takeConditions takes over the conditions that are not as they were when the store was
// read, unless the attempt has changed them, too.
func (a *attempt) takeConditions(now []metav1.Condition) {
	ours := a.store.Status.Conditions
	unchanged := func(conditionType string) bool {
		return apiequality.Semantic.DeepEqual(meta.FindStatusCondition(ours, conditionType), meta.FindStatusCondition(a.base.Conditions, conditionType))
	}
	var merged []metav1.Condition
	for _, c := range ours {
		if !unchanged(c.Type) {
			merged = append(merged, c)
		}
	}
	for _, c := range now {
		if unchanged(c.Type) {
			merged = append(merged, c)
		}
	}
	a.store.Status.Conditions = merged
	a.base.Conditions = slices.Clone(now)
}
