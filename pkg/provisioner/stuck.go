package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// heldObject is an object that stays until somebody takes its finalizers off.
type heldObject struct {
	// name is as kubectl takes it, such as services/shop.
	name       string
	finalizers []string
}

// noteHeld remembers what in the namespace has finalizers. A namespace that is stuck
// names only those and a count, and the right to look goes with its RoleBinding, so
// it is asked before. Not to know it holds nothing up.
func (c *Controller) noteHeld(ctx context.Context, a *attempt) {
	a.memory.held = nil
	for _, kind := range watched {
		list, err := c.watches.client.Resource(kind.GroupVersionResource).Namespace(a.namespace).List(ctx, metav1.ListOptions{})
		if expectedError(err) {
			return
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "Deleting a namespace without knowing what has finalizers in it", "resource", kind.Resource)
			return
		}
		for i := range list.Items {
			if o := &list.Items[i]; len(o.Finalizers) > 0 {
				a.memory.held = append(a.memory.held, heldObject{kind.Resource + "/" + o.Name, o.Finalizers})
			}
		}
	}
}

// stuckOn is what keeps the namespace from going, with a space before it, or empty:
// the namespace's own conditions, and the objects that they are about.
func (c *Controller) stuckOn(ctx context.Context, a *attempt, ns *corev1.Namespace) (string, error) {
	text := namespaceBlockers(ns)
	for _, condition := range ns.Status.Conditions {
		switch {
		case condition.Status != corev1.ConditionTrue:
		case condition.Type == corev1.NamespaceFinalizersRemaining:
			for _, o := range a.memory.held {
				if finalizer := o.waitsFor(condition.Message); finalizer != "" {
					text += fmt.Sprintf(" %s has finalizer %s.", o.name, finalizer)
				}
			}
		case condition.Type == corev1.NamespaceContentRemaining && strings.Contains(condition.Message, "pods. has "):
			pods, err := c.podsLeft(ctx, a.namespace)
			if err != nil {
				return "", err
			}
			text += pods
		}
	}
	return text, nil
}

// waitsFor is the finalizer of the object that the message of a namespace's condition
// names, or empty.
func (o heldObject) waitsFor(message string) string {
	i := slices.IndexFunc(o.finalizers, func(f string) bool { return strings.Contains(message, f+" in ") })
	if i < 0 {
		return ""
	}
	return o.finalizers[i]
}

// podsLeft names the pods of a namespace that goes, or nothing if they may not be seen
// any more. Pods go before the RoleBinding does, so while they last it usually stands.
func (c *Controller) podsLeft(ctx context.Context, namespace string) (string, error) {
	pods, err := c.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("listing the pods of namespace %s: %w", namespace, err)
	}
	text := ""
	for i := range pods.Items {
		text += fmt.Sprintf(" %s on node %q has not ended.", objectName("Pod", pods.Items[i].Name), pods.Items[i].Spec.NodeName)
	}
	return text, nil
}
