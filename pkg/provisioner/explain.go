package provisioner

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

const (
	// eventsAgain is when to look again at what only an event has told, and
	// eventsSeldom when that has not changed for long.
	eventsAgain  = 15 * time.Second
	eventsSeldom = 5 * time.Minute
	// slowPod is how long a pod may take for each part of its start before its events
	// are asked for. A start that goes well costs no request.
	slowPod = 30 * time.Second
	// reasonUnhealthy is the reason of events that tell of a failed probe.
	reasonUnhealthy = "Unhealthy"
)

// explain adds to r, which is what podBlocker has said of the pod, what only other
// objects tell: the claims it waits for, and the events of one that takes long.
func (c *Controller) explain(ctx context.Context, pod *corev1.Pod, r *result) error {
	switch r.reason {
	case corev1.PodReasonUnschedulable:
		return c.explainClaims(ctx, pod, r)
	case reasonPodStarting:
		return c.explainDelay(ctx, pod, r, startedAt(pod), fields.Set{})
	case reasonContainerNotReady:
		s := unreadyContainer(pod)
		return c.explainDelay(ctx, pod, r, s.State.Running.StartedAt.Time, fields.Set{"involvedObject.fieldPath": containerField(s.Name)})
	}
	return nil
}

// startedAt is when the pod's node was told to start it.
func startedAt(pod *corev1.Pod) time.Time {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionTrue {
			return condition.LastTransitionTime.Time
		}
	}
	return pod.CreationTimestamp.Time
}

// explainDelay adds the newest warning about the pod, or the part of it that selector
// names, since it began. Probes fail for a while in every slow start; all else is
// told as a failure.
func (c *Controller) explainDelay(ctx context.Context, pod *corev1.Pod, r *result, began time.Time, selector fields.Set) error {
	took := c.now().Sub(began)
	if took < slowPod {
		r.again = slowPod - took
		return nil
	}
	r.again = pollInterval(took, eventsAgain, eventsSeldom)
	selector["involvedObject.uid"] = string(pod.UID)
	event, err := c.newestWarning(ctx, pod.Namespace, selector)
	// A pod's times are whole seconds: what was in the way of scheduling it is told in
	// the second in which it then was.
	if err != nil || event == nil || !eventTime(event).Truncate(time.Second).After(began) {
		return err
	}
	r.reason, r.message = event.Reason, strings.TrimSuffix(r.message, ".")+": "+warning(pod, event)
	if event.Reason != reasonUnhealthy {
		r.outcome = outcomeFailed
	}
	return nil
}

// warning is what the event about the pod tells. What a probe's command has printed
// is left out: that may hold anything, secrets too.
func warning(pod *corev1.Pod, event *corev1.Event) string {
	if event.Reason != reasonUnhealthy {
		return event.Message
	}
	kind, _, _ := strings.Cut(event.Message, " ")
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		probe := map[string]*corev1.Probe{
			"Startup": container.StartupProbe, "Readiness": container.ReadinessProbe, "Liveness": container.LivenessProbe,
		}[kind]
		if event.InvolvedObject.FieldPath == containerField(container.Name) && probe != nil && probe.Exec == nil {
			return event.Message
		}
	}
	return kind + " probe failed"
}

// containerField is how events name a container.
func containerField(name string) string { return fmt.Sprintf("spec.containers{%s}", name) }

// explainClaims adds the claims of the pod that have no volume, and why.
func (c *Controller) explainClaims(ctx context.Context, pod *corev1.Pod, r *result) error {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		name := volume.PersistentVolumeClaim.ClaimName
		claim, err := c.kube.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			r.message += fmt.Sprintf(" PersistentVolumeClaim %s is not there.", name)
			continue
		case err != nil:
			return fmt.Errorf("reading PersistentVolumeClaim %s: %w", name, err)
		case claim.Status.Phase == corev1.ClaimBound:
			continue
		}
		event, err := c.newestWarning(ctx, pod.Namespace, fields.Set{"involvedObject.uid": string(claim.UID)})
		if err != nil {
			return err
		}
		why := "."
		if event != nil {
			why = ": " + event.Message
		}
		r.message += fmt.Sprintf(" PersistentVolumeClaim %s is %s%s", name, claim.Status.Phase, why)
		r.again = pollInterval(c.now().Sub(claim.CreationTimestamp.Time), eventsAgain, eventsSeldom)
	}
	return nil
}

// newestWarning is the last warning among the events that selector selects, or nil.
func (c *Controller) newestWarning(ctx context.Context, namespace string, selector fields.Set) (*corev1.Event, error) {
	selector["type"] = corev1.EventTypeWarning
	events, err := c.kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: selector.String()})
	if err != nil {
		return nil, fmt.Errorf("listing the events of %s in namespace %s: %w", selector, namespace, err)
	}
	var newest *corev1.Event
	for i := range events.Items {
		if e := &events.Items[i]; newest == nil || eventTime(newest).Before(eventTime(e)) {
			newest = e
		}
	}
	return newest, nil
}

// eventTime is when what the event tells happened last. Which of its fields says so
// depends on who has written it.
func eventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
