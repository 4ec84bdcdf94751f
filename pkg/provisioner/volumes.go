package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reasonResizing is the reason of Reconciling while a volume grows.
const reasonResizing = "VolumeResizing"

// resizeConditions are those of a claim that tell of its growing.
var resizeConditions = []corev1.PersistentVolumeClaimConditionType{
	corev1.PersistentVolumeClaimControllerResizeError, corev1.PersistentVolumeClaimNodeResizeError,
	corev1.PersistentVolumeClaimFileSystemResizePending, corev1.PersistentVolumeClaimResizing,
}

// growingVolumes tells of the store's volumes that are not as large yet as their
// claims ask for, and how far they have come, or is empty. The shop sells meanwhile.
func (c *Controller) growingVolumes(ctx context.Context, a *attempt) (string, error) {
	// A StatefulSet has its claims made by its controller.
	if may, err := c.mayHave(ctx, a, "PersistentVolumeClaim", "StatefulSet"); err != nil || !may {
		return "", err
	}
	claims, err := c.kube.CoreV1().PersistentVolumeClaims(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("listing PersistentVolumeClaims in namespace %s: %w", a.namespace, err)
	}
	var growing []string
	for i := range claims.Items {
		claim := &claims.Items[i]
		has, wants := claim.Status.Capacity.Storage(), claim.Spec.Resources.Requests.Storage()
		if claim.Status.Phase == corev1.ClaimBound && has.Cmp(*wants) < 0 {
			growing = append(growing, fmt.Sprintf("PersistentVolumeClaim %s grows from %s to %s%s.", claim.Name, has, wants, resizeState(claim)))
		}
	}
	return strings.Join(growing, " "), nil
}

// resizeState is what the claim says of its growing, after a colon, or empty.
func resizeState(claim *corev1.PersistentVolumeClaim) string {
	for _, condition := range claim.Status.Conditions {
		if condition.Status == corev1.ConditionTrue && slices.Contains(resizeConditions, condition.Type) {
			return strings.TrimRight(fmt.Sprintf(": %s, %s", condition.Type, condition.Message), "., ")
		}
	}
	if state := claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage]; state != "" {
		return ": " + string(state)
	}
	return ""
}
