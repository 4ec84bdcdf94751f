package provisioner

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume)
		// capacity is the volume's afterwards, pending whether the node is to follow.
		capacity string
		pending  bool
	}{
		{"asked for more", func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {}, "3Gi", true},
		{"interrupted before it was told", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Spec.Capacity = storage("3Gi")
		}, "3Gi", true},
		{"done by the node", func(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			c.Status.Capacity, v.Spec.Capacity = storage("3Gi"), storage("3Gi")
		}, "3Gi", false},
		{"not bound yet", func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			c.Status.Phase = corev1.ClaimPending
		}, "1Gi", false},
		{"volume of another provisioner", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Annotations[madeByAnnotation] = "other"
		}, "1Gi", false},
		{"volume of another claim", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "2" }, "1Gi", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			claim := newClaim()
			volume := newProvisioner(t).volumeFor(claim, newClass())
			claim.Spec.VolumeName, claim.Spec.Resources.Requests = volume.Name, storage("3Gi")
			claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: storage("1Gi")}
			test.change(claim, volume)
			client := fake.NewClientset(claim, volume)
			factory := informers.NewSharedInformerFactory(client, 0)
			p, err := New(client, factory, record.NewFakeRecorder(10), t.TempDir(), "node")
			if err != nil {
				t.Fatal(err)
			}
			factory.StartWithContext(t.Context())
			factory.WaitForCacheSync(t.Context().Done())

			if err := p.reconcile(t.Context(), claim.Namespace+"/"+claim.Name); err != nil {
				t.Fatal(err)
			}
			after, err := client.CoreV1().PersistentVolumes().Get(t.Context(), volume.Name, metav1.GetOptions{})
			if err != nil || after.Spec.Capacity.Storage().String() != test.capacity {
				t.Errorf("the volume has %s, want %s (error %v)", after.Spec.Capacity.Storage(), test.capacity, err)
			}
			claim, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(t.Context(), claim.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pending := claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage] == corev1.PersistentVolumeClaimNodeResizePending
			if told := len(claim.Status.Conditions) == 1; told != test.pending || pending != test.pending {
				t.Errorf("the claim's status is %+v, want that it tells the node is to follow: %t", claim.Status, test.pending)
			}
		})
	}
}

func storage(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}
