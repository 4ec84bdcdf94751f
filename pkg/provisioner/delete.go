package provisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// lookAgain is when a deletion is looked at without being woken; watches are
// what usually moves it on.
const lookAgain = 10 * time.Second

// reasonDeleting is the reason of Ready while a store is taken down.
const reasonDeleting = "Deleting"

func hasFinalizer(s *v1alpha1.Store) bool { return slices.Contains(s.Finalizers, v1alpha1.Finalizer) }

// delete takes down what stands for the store, step by step, and lets the store
// go when nothing of it is left. What does not carry the store's UID is not the
// store's and is left alone.
func (c *Controller) delete(ctx context.Context, a *attempt) (time.Duration, error) {
	if !hasFinalizer(a.store) {
		return 0, nil
	}
	c.watches.stop(a.namespace)
	c.probes.forget(a.store.UID)

	ns, err := c.kube.CoreV1().Namespaces().Get(ctx, a.namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		ns = nil
	case err != nil:
		return 0, fmt.Errorf("reading namespace %s: %w", a.namespace, err)
	case ns.Labels[LabelStoreUID] != string(a.store.UID):
		ns = nil
	}
	if a.store.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain {
		return c.retain(ctx, a, ns)
	}
	if ns != nil {
		if ns.DeletionTimestamp == nil {
			if err := c.deleteNamespace(ctx, a, ns); err != nil {
				return 0, err
			}
		}
		stuck, err := c.stuckOn(ctx, a, ns)
		if err != nil {
			return 0, err
		}
		return lookAgain, c.deleting(ctx, a, fmt.Sprintf("Waiting for namespace %s to go.%s", a.namespace, stuck))
	}
	volumes, err := c.volumesOf(a.namespace)
	if err != nil {
		return 0, err
	}
	if len(volumes) > 0 {
		return lookAgain, c.deleting(ctx, a, "Waiting for volumes to go: "+strings.Join(volumes, ", ")+".")
	}
	return 0, c.release(ctx, a, "Nothing of the store is left.")
}

// deleteNamespace uninstalls the release and then deletes the namespace, with
// its UID as a precondition. An uninstall that fails holds nothing up: all of
// the release is in the namespace and goes with it.
func (c *Controller) deleteNamespace(ctx context.Context, a *attempt, ns *corev1.Namespace) error {
	if err := c.deleting(ctx, a, "Uninstalling the shop."); err != nil {
		return err
	}
	if err := c.uninstall(ctx, a); err != nil {
		klog.FromContext(ctx).Error(err, "Deleting the namespace with the release in it", "namespace", ns.Name)
	}
	c.noteHeld(ctx, a)
	err := c.kube.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &ns.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting namespace %s: %w", ns.Name, err)
	}
	return nil
}

// uninstall removes the release, if there is one and it is the store's.
func (c *Controller) uninstall(ctx context.Context, a *attempt) error {
	switch release, err := c.helm.Get(ctx, a.namespace, ReleaseName); {
	case errors.Is(err, helm.ErrReleaseNotFound):
		return nil
	case err == nil && !ours(release):
		return nil
	}
	started := c.now()
	err := c.helm.Uninstall(ctx, a.namespace, ReleaseName)
	c.recordAction(a, actionUninstall, started, nil, err)
	return err
}

// retain removes what runs and keeps the namespace with its volumes and
// secrets, marked as kept.
func (c *Controller) retain(ctx context.Context, a *attempt, ns *corev1.Namespace) (time.Duration, error) {
	if ns == nil {
		return 0, c.release(ctx, a, "There was no namespace to keep.")
	}
	if err := c.deleting(ctx, a, "Uninstalling the shop; its namespace is kept."); err != nil {
		return 0, err
	}
	if err := c.uninstall(ctx, a); err != nil {
		return 0, errors.Join(err, c.deleting(ctx, a, err.Error()))
	}
	labels := namespaceLabels(a.store)
	labels[LabelRetained] = "true"
	apply := applycorev1.Namespace(ns.Name).WithUID(ns.UID).WithLabels(labels)
	if _, err := c.kube.CoreV1().Namespaces().Apply(ctx, apply, metav1.ApplyOptions{FieldManager: FieldManager, Force: true}); err != nil {
		return 0, fmt.Errorf("labelling namespace %s: %w", ns.Name, err)
	}
	return 0, c.release(ctx, a, fmt.Sprintf("Namespace %s is kept with the shop's data.", ns.Name))
}

// deleting writes down that the store goes, and what it waits for.
func (c *Controller) deleting(ctx context.Context, a *attempt, message string) error {
	if ready := a.condition(v1alpha1.ConditionReady); ready == nil || ready.Reason != reasonDeleting {
		c.events.Eventf(a.store, nil, corev1.EventTypeNormal, "Deleting", "Delete", "The store is being deleted.")
	}
	a.setCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonDeleting, message)
	a.setAbnormal(v1alpha1.ConditionReconciling, reasonDeleting, message)
	a.store.Status.ObservedGeneration = a.store.Generation
	return c.writeStatus(ctx, a)
}

// release takes the finalizer off: the last that is done for a store.
func (c *Controller) release(ctx context.Context, a *attempt, note string) error {
	finalizers := slices.DeleteFunc(slices.Clone(a.store.Finalizers), func(f string) bool { return f == v1alpha1.Finalizer })
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": a.store.UID, "resourceVersion": a.store.ResourceVersion, "finalizers": finalizers,
	}})
	if err != nil {
		return fmt.Errorf("marshalling the patch: %w", err)
	}
	_, err = c.stores.PlatformV1alpha1().Stores(a.store.Namespace).
		Patch(ctx, a.store.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the finalizer of store %s/%s: %w", a.store.Namespace, a.store.Name, err)
	}
	c.events.Eventf(a.store, nil, corev1.EventTypeNormal, "Deleted", "Delete", "%s", note)
	return nil
}

// namespaceBlockers is what the namespace's own conditions name as in the way,
// with a space before it, or empty.
func namespaceBlockers(ns *corev1.Namespace) string {
	var texts []string
	for _, condition := range ns.Status.Conditions {
		if condition.Status == corev1.ConditionTrue {
			texts = append(texts, fmt.Sprintf(" %s: %s", condition.Type, condition.Message))
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, "")
}

// volumesOf names the volumes that were bound to claims of the namespace, with
// what says why one stays.
func (c *Controller) volumesOf(namespace string) ([]string, error) {
	found, err := c.volumes.ByIndex(volumesByNamespace, namespace)
	if err != nil {
		return nil, fmt.Errorf("looking up the volumes of namespace %s: %w", namespace, err)
	}
	names := make([]string, 0, len(found))
	for _, obj := range found {
		volume := obj.(*corev1.PersistentVolume)
		text := objectName("PersistentVolume", volume.Name)
		if volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
			text += " (its reclaim policy is Retain: delete it by hand)"
		} else if volume.Status.Message != "" {
			text += " (" + volume.Status.Message + ")"
		}
		names = append(names, text)
	}
	slices.Sort(names)
	return names, nil
}
