package provisioner

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"
)

func TestProvision(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*corev1.PersistentVolumeClaim)
		volume bool
		event  bool
	}{
		{"asked", func(*corev1.PersistentVolumeClaim) {}, true, false},
		{"class of another provisioner", func(c *corev1.PersistentVolumeClaim) { c.Annotations[askedAnnotation] = "other" }, false, false},
		{"bound already", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "some" }, false, false},
		{"block device", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProvisioner(t)
			claim := newClaim()
			test.change(claim)
			for range 2 { // The second finds the work of the first.
				if err := p.provision(t.Context(), claim); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(p.folder, "pvc-1")
			info, err := os.Stat(path)
			if made := err == nil && info.Mode().Perm() == 0o777; made != test.volume {
				t.Errorf("folder: %v, %v", info, err)
			}
			volume, err := p.client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-1", metav1.GetOptions{})
			if test.volume != (err == nil) {
				t.Fatalf("volume: %v", err)
			}
			if test.volume && (volume.Spec.Local.Path != path || volume.Spec.ClaimRef.UID != "1" || volume.Spec.Capacity.Storage().String() != "1Gi") {
				t.Errorf("volume is %+v", volume.Spec)
			}
			if warned := len(p.events.(*record.FakeRecorder).Events) > 0; warned != (test.event || test.volume) {
				t.Errorf("event recorded: %t", warned)
			}
		})
	}
}

func TestReclaim(t *testing.T) {
	t.Parallel()
	now := ptr.To(metav1.Now())
	tests := []struct {
		name   string
		change func(*corev1.PersistentVolume)
		// deleted and dataGone say what is left of the object and its folder;
		// a released object has lost the finalizer.
		deleted, released, dataGone, fails bool
	}{
		{"bound", func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound }, false, false, false, false},
		{"released", func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeReleased }, true, false, false, false},
		{"released but to be retained", func(v *corev1.PersistentVolume) {
			v.Status.Phase, v.Spec.PersistentVolumeReclaimPolicy = corev1.VolumeReleased, corev1.PersistentVolumeReclaimRetain
		}, false, false, false, false},
		{"being deleted", func(v *corev1.PersistentVolume) { v.DeletionTimestamp = now }, false, true, true, false},
		{"being deleted but in use", func(v *corev1.PersistentVolume) {
			v.DeletionTimestamp, v.Finalizers = now, append(v.Finalizers, pvProtection)
		}, false, false, false, false},
		{"being deleted but to be retained", func(v *corev1.PersistentVolume) {
			v.DeletionTimestamp, v.Spec.PersistentVolumeReclaimPolicy = now, corev1.PersistentVolumeReclaimRetain
		}, false, true, false, false},
		{"with a path elsewhere", func(v *corev1.PersistentVolume) { v.DeletionTimestamp, v.Spec.Local.Path = now, "/etc" }, false, false, false, true},
		{"of another provisioner", func(v *corev1.PersistentVolume) {
			v.Status.Phase, v.Annotations[madeByAnnotation] = corev1.VolumeReleased, "other"
		}, false, false, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProvisioner(t)
			volume := p.volumeFor(newClaim(), newClass())
			test.change(volume)
			if err := os.MkdirAll(filepath.Join(p.folder, "pvc-1", "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := p.client.(*fake.Clientset).Tracker().Add(volume); err != nil {
				t.Fatal(err)
			}
			if err := p.reclaim(t.Context(), volume); (err != nil) != test.fails {
				t.Fatalf("failed with %v", err)
			}
			_, err := os.Stat(filepath.Join(p.folder, "pvc-1"))
			if os.IsNotExist(err) != test.dataGone {
				t.Errorf("data: %v", err)
			}
			left, err := p.client.CoreV1().PersistentVolumes().Get(t.Context(), volume.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) != (test.deleted) {
				t.Fatalf("volume: %v", err)
			}
			if err == nil && (len(left.Finalizers) == 0) != test.released {
				t.Errorf("finalizers: %v", left.Finalizers)
			}
		})
	}
}

func TestRunServesClaims(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(newClass(), newClaim())
	factory := informers.NewSharedInformerFactory(client, 0)
	p, err := New(client, factory, record.NewFakeRecorder(10), t.TempDir(), "node")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory.StartWithContext(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().PersistentVolumes().Get(ctx, "pvc-1", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Errorf("no volume was made: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func newProvisioner(t *testing.T) *Provisioner {
	t.Helper()
	client := fake.NewClientset(newClass())
	factory := informers.NewSharedInformerFactory(client, 0)
	p, err := New(client, factory, record.NewFakeRecorder(10), t.TempDir(), "node")
	if err != nil {
		t.Fatal(err)
	}
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSync(t.Context().Done())
	return p
}

func newClass() *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}, Provisioner: Name}
}

func newClaim() *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "shop", UID: "1", Annotations: map[string]string{askedAnnotation: Name}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: ptr.To("standard"),
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}
