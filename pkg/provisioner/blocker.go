package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// The reasons of what takes its time.
const (
	reasonPodStarting       = "PodStarting"
	reasonContainerNotReady = "ContainerNotReady"
)

// brokenContainer are the reasons of waiting containers that do not go away by
// themselves.
var brokenContainer = []string{
	"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError",
	"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RunContainerError",
}

// blocker finds out what keeps a workload from being ready, down to the pod,
// the container or the claim.
func (c *Controller) blocker(ctx context.Context, a *attempt, w *workload) (result, error) {
	if w.unseen {
		return waiting("WorkloadProgressing", objectName(w.kind, w.name)+": its controller has not looked at it yet.", 0), nil
	}
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil {
		return result{}, fmt.Errorf("selector of %s %s: %w", w.kind, w.name, err)
	}
	pods, err := c.podsWith(ctx, a, selector)
	if err != nil {
		return result{}, err
	}
	var found *result
	var at *corev1.Pod
	for _, pod := range pods {
		w.nearer += reachedBy(pod)
		if r := podBlocker(pod); r != nil && (found == nil || w.urgency(pod, r) > w.urgency(at, found)) {
			found, at = r, pod
		}
	}
	if found != nil {
		if err := c.explain(ctx, at, found); err != nil {
			return result{}, err
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
	case len(pods) == 0:
		w.progress = "it has no pods yet"
		return c.missingPods(ctx, a, w)
	case len(pods) < w.pods:
		return c.missingPods(ctx, a, w)
	}
	return waiting("WorkloadProgressing", subject+": "+w.progress+".", 0), nil
}

// podsWith are the pods that selector selects, of all that were there when the first
// of the attempt were asked for.
func (c *Controller) podsWith(ctx context.Context, a *attempt, selector labels.Selector) ([]*corev1.Pod, error) {
	if a.pods == nil {
		var err error
		if a.pods, err = c.kube.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{}); err != nil {
			return nil, fmt.Errorf("listing the pods of namespace %s: %w", a.namespace, err)
		}
	}
	var selected []*corev1.Pod
	for i := range a.pods.Items {
		if pod := &a.pods.Items[i]; selector.Matches(labels.Set(pod.Labels)) {
			selected = append(selected, pod)
		}
	}
	return selected, nil
}

// urgency orders what is in the way of several pods: what is wrong comes before what
// merely takes its time. What became of a pod that was replaced comes last, but for a
// job's, which are its attempts.
func (w *workload) urgency(pod *corev1.Pod, r *result) int {
	switch {
	case pod.Status.Phase == corev1.PodFailed && w.kind != "Job":
		return 0
	case r.outcome == outcomeFailed:
		return 2
	}
	return 1
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

// reachedBy counts what the pod has behind it on the way to being ready. One that has
// failed is on no way: each that takes its place would count as progress.
func reachedBy(pod *corev1.Pod) int {
	if pod.Status.Phase == corev1.PodFailed {
		return 0
	}
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
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		r := failed("PodFailed", strings.TrimSuffix(fmt.Sprintf("Pod %s has failed: %s: %s", pod.Name, pod.Status.Reason, pod.Status.Message), ": "), 0)
		return &r
	}
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for i := range statuses {
		if r := containerBlocker(pod, &statuses[i]); r != nil {
			return r
		}
	}
	if s := unreadyContainer(pod); s != nil {
		message := fmt.Sprintf("Pod %s, container %s runs and is not ready yet", pod.Name, s.Name)
		if t := s.LastTerminationState.Terminated; t != nil {
			message += "; before, " + termination(pod, s.Name, t)
		}
		r := waiting(reasonContainerNotReady, message+".", 0)
		return &r
	}
	if pod.Status.Phase == corev1.PodPending {
		r := waiting(reasonPodStarting, fmt.Sprintf("Pod %s is starting.", pod.Name), 0)
		return &r
	}
	return nil
}

// unreadyContainer is the first container that runs and is not ready, or nil.
func unreadyContainer(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.State.Running != nil && !s.Ready {
			return s
		}
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

// missingPods finds out from the workload's events why it lacks pods, such as a quota
// that is used up.
func (c *Controller) missingPods(ctx context.Context, a *attempt, w *workload) (result, error) {
	subject := objectName(w.kind, w.name)
	event, err := c.newestWarning(ctx, a.namespace, fields.Set{"involvedObject.kind": w.kind, "involvedObject.name": w.name})
	if err != nil {
		return result{}, err
	}
	if event != nil {
		// Nothing that is watched changes when pods become possible.
		return failed(event.Reason, subject+": "+event.Message, eventsAgain), nil
	}
	return waiting("WorkloadProgressing", subject+": "+w.progress+".", 0), nil
}
