package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// eventsAgain is when to look again at what only an event has told.
const eventsAgain = 15 * time.Second

// brokenContainer are the reasons of waiting containers that do not go away by
// themselves.
var brokenContainer = []string{
	"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError",
	"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RunContainerError",
}

// blocker finds out what keeps a workload from being ready, down to the pod,
// the container or the claim.
func (c *Controller) blocker(ctx context.Context, a *attempt, w *workload) (result, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil {
		return result{}, fmt.Errorf("selector of %s %s: %w", w.kind, w.name, err)
	}
	pods, err := c.kube.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return result{}, fmt.Errorf("listing the pods of %s %s: %w", w.kind, w.name, err)
	}
	var found *result
	for i := range pods.Items {
		w.nearer += reachedBy(&pods.Items[i])
		r := podBlocker(&pods.Items[i])
		if r == nil {
			continue
		}
		if r.reason == corev1.PodReasonUnschedulable {
			if err := c.explainClaims(ctx, &pods.Items[i], r); err != nil {
				return result{}, err
			}
		}
		if found == nil || (found.outcome == outcomeWaiting && r.outcome == outcomeFailed) {
			found = r
		}
	}
	subject := objectName(w.kind, w.name)
	switch {
	case w.broken != nil:
		r := *w.broken
		r.message = subject + ": " + r.message
		if found != nil && found.outcome == outcomeFailed {
			r.message += " " + found.message
		} else {
			a.recallPods(subject, &r)
		}
		return r, nil
	case found != nil:
		found.message = subject + ": " + found.message
		return *found, nil
	case len(pods.Items) == 0:
		return c.missingPods(ctx, a, w)
	}
	return waiting("WorkloadProgressing", subject+": "+w.progress+".", 0), nil
}

// recallPods adds to r what was told of the subject's pods before it failed for
// good: a job's pods go with it.
func (a *attempt) recallPods(subject string, r *result) {
	before := a.condition(v1alpha1.ConditionWorkloadReady)
	if before == nil || !strings.HasPrefix(before.Message, subject+": ") {
		return
	}
	if before.Reason == r.reason {
		r.message = before.Message
		return
	}
	r.message += " Before: " + strings.TrimPrefix(before.Message, subject+": ")
}

// reachedBy counts what the pod has behind it on the way to being ready.
func reachedBy(pod *corev1.Pod) int {
	sum := 1
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionTrue {
			sum++
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case s.State.Terminated != nil && s.State.Terminated.ExitCode == 0, s.Ready:
			sum += 2
		case s.State.Running != nil:
			sum++
		}
	}
	return sum
}

// podBlocker says what is in the pod's way, or nil if nothing is.
func podBlocker(pod *corev1.Pod) *result {
	if pod.Status.Phase == corev1.PodSucceeded || pod.DeletionTimestamp != nil {
		return nil
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse && condition.Reason == corev1.PodReasonUnschedulable {
			r := failed(corev1.PodReasonUnschedulable, fmt.Sprintf("Pod %s cannot be scheduled: %s", pod.Name, condition.Message), 0)
			return &r
		}
	}
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for i := range statuses {
		if r := containerBlocker(pod, &statuses[i]); r != nil {
			return r
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.State.Running != nil && !s.Ready {
			r := waiting("ContainerNotReady", fmt.Sprintf("Pod %s, container %s runs and is not ready yet.", pod.Name, s.Name), 0)
			return &r
		}
	}
	if pod.Status.Phase == corev1.PodPending {
		r := waiting("PodStarting", fmt.Sprintf("Pod %s is starting.", pod.Name), 0)
		return &r
	}
	return nil
}

// containerBlocker says what is wrong with the container, or nil if nothing is.
func containerBlocker(pod *corev1.Pod, s *corev1.ContainerStatus) *result {
	if w := s.State.Waiting; w != nil && slices.Contains(brokenContainer, w.Reason) {
		message := fmt.Sprintf("Pod %s, container %s: %s", pod.Name, s.Name, w.Reason)
		if w.Message != "" {
			message += ": " + w.Message
		}
		if t := s.LastTerminationState.Terminated; t != nil {
			message += "; " + termination(pod, s.Name, t)
		}
		r := failed(w.Reason, message, 0)
		return &r
	}
	if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
		r := failed("ContainerFailed", fmt.Sprintf("Pod %s, container %s: %s", pod.Name, s.Name, termination(pod, s.Name, t)), 0)
		return &r
	}
	return nil
}

// termination says how a container ended. Its message is told only if the
// container wrote it on purpose: the tail of a log may hold anything, secrets
// too.
func termination(pod *corev1.Pod, container string, t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("it ended with exit code %d (%s)", t.ExitCode, t.Reason)
	for _, spec := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if spec.Name == container && spec.TerminationMessagePolicy == corev1.TerminationMessageReadFile && t.Message != "" {
			text += ": " + strings.TrimSpace(t.Message)
		}
	}
	return text
}

// explainClaims adds to r the claims of the pod that have no volume yet.
func (c *Controller) explainClaims(ctx context.Context, pod *corev1.Pod, r *result) error {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := c.kube.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, volume.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading PersistentVolumeClaim %s: %w", volume.PersistentVolumeClaim.ClaimName, err)
		}
		if claim.Status.Phase == corev1.ClaimPending {
			r.message += fmt.Sprintf(" PersistentVolumeClaim %s is Pending.", claim.Name)
		}
	}
	return nil
}

// missingPods finds out from the workload's events why it has no pods, such as
// a quota that is used up.
func (c *Controller) missingPods(ctx context.Context, a *attempt, w *workload) (result, error) {
	subject := objectName(w.kind, w.name)
	events, err := c.kube.CoreV1().Events(a.namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.Set{
		"involvedObject.kind": w.kind, "involvedObject.name": w.name, "type": corev1.EventTypeWarning,
	}.String()})
	if err != nil {
		return result{}, fmt.Errorf("listing the events of %s %s: %w", w.kind, w.name, err)
	}
	newest := -1
	for i := range events.Items {
		if newest < 0 || events.Items[newest].LastTimestamp.Before(&events.Items[i].LastTimestamp) {
			newest = i
		}
	}
	if newest >= 0 {
		// Nothing that is watched changes when pods become possible.
		return failed(events.Items[newest].Reason, subject+": "+events.Items[newest].Message, eventsAgain), nil
	}
	return waiting("WorkloadProgressing", subject+": it has no pods yet.", 0), nil
}
