package provisioner

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// A shop sells while its volume grows, and says how far that has come.
func TestGrowingVolumeIsTold(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	claims := w.kube.CoreV1().PersistentVolumeClaims(testNamespace)
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: released("database"),
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")},
		}},
		Status: corev1.PersistentVolumeClaimStatus{
			Phase: corev1.ClaimBound, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")},
			Conditions: []corev1.PersistentVolumeClaimCondition{
				{Type: "Unused", Status: corev1.ConditionTrue, Message: "No pods use it."},
				{Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue, Message: "Waiting for the node."},
			},
		},
	}
	if _, err := claims.Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.helm.Manifest = append(w.helm.Manifest, helm.Object{APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: "database"})
	w.forget(testKey)
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	wantCondition(t, store, v1alpha1.ConditionReconciling, metav1.ConditionTrue, "VolumeResizing")
	want := "PersistentVolumeClaim database grows from 2Gi to 5Gi: FileSystemResizePending, Waiting for the node."
	if got := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReconciling).Message; got != want {
		t.Errorf("the store says %q, want %q", got, want)
	}

	claim.Status.Conditions, claim.Status.Capacity = nil, claim.Spec.Resources.Requests
	if _, err := claims.UpdateStatus(t.Context(), claim, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantNoCondition(t, w.reconcileOnce(t), v1alpha1.ConditionReconciling)
}
