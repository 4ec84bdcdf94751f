package provisioner

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// expand gives a volume the size that its claim asks for. A folder has no size,
// so this is only what an external resizer writes down: the volume's capacity, and
// that the file system is to follow. That is the kubelet's part, when a pod mounts
// the volume, and it then sets the claim's capacity. Whether the class allows it is
// the API server's to decide, before the claim can ask.
func (p *Provisioner) expand(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	wanted := claim.Spec.Resources.Requests.Storage()
	if claim.Status.Phase != corev1.ClaimBound || claim.DeletionTimestamp != nil || wanted.Cmp(*claim.Status.Capacity.Storage()) <= 0 {
		return nil
	}
	volume, err := p.volumes.Get(claim.Spec.VolumeName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if volume.Annotations[madeByAnnotation] != Name || volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != claim.UID {
		return nil
	}
	if volume.Spec.Capacity.Storage().Cmp(*wanted) < 0 {
		changed := volume.DeepCopy()
		changed.Spec.Capacity[corev1.ResourceStorage] = *wanted
		if _, err := p.client.CoreV1().PersistentVolumes().Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("expanding volume %s: %w", volume.Name, err)
		}
	}
	return p.leaveToNode(ctx, claim)
}

// leaveToNode says on the claim that its volume is enlarged but for the file system.
func (p *Provisioner) leaveToNode(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage] != "" &&
		claim.Status.AllocatedResources.Storage().Equal(*claim.Spec.Resources.Requests.Storage()) {
		return nil
	}
	changed := claim.DeepCopy()
	changed.Status.AllocatedResources = corev1.ResourceList{corev1.ResourceStorage: *claim.Spec.Resources.Requests.Storage()}
	changed.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{
		corev1.ResourceStorage: corev1.PersistentVolumeClaimNodeResizePending,
	}
	changed.Status.Conditions = append(slices.DeleteFunc(changed.Status.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == corev1.PersistentVolumeClaimFileSystemResizePending
	}), corev1.PersistentVolumeClaimCondition{
		Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
		Message: "Waiting for the node of a pod that mounts the volume to resize its file system.",
	})
	if _, err := p.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("telling of the expansion of claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}
