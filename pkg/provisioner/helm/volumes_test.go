package helm

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// A volume grows where its class allows it and never shrinks, and what cannot be
// done is found out before anything of the release has changed.
func TestVolumesGrow(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()
	class := newClass(t, client, ns)
	values := func(title, size string) map[string]any {
		return map[string]any{"title": title, "size": size, "class": class}
	}
	if _, err := sdk.Install(ctx, request(t, ns, values("first", "1Gi"))); err != nil {
		t.Fatal(err)
	}
	bind(t, client, ns)

	upgrade := func(title, size string) func() error {
		return func() error {
			r := request(t, ns, values(title, size))
			r.Keep = 1
			_, err := sdk.Upgrade(ctx, r)
			return err
		}
	}
	for _, step := range []struct {
		name string
		do   func() error
		// refused is part of the error, if the step is to fail; title and size are
		// what there is afterwards.
		refused, title, size string
	}{
		{"a class that does not allow it", upgrade("second", "3Gi"), "PersistentVolumeClaim data of StorageClass " + class + " cannot grow from 1Gi to 3Gi", "first", "1Gi"},
		{"a class that does", func() error {
			_, err := client.StorageV1().StorageClasses().Patch(ctx, class, types.MergePatchType, []byte(`{"allowVolumeExpansion":true}`), metav1.PatchOptions{})
			if err != nil {
				return err
			}
			return upgrade("second", "3Gi")()
		}, "", "second", "3Gi"},
		{"less than before", upgrade("third", "2Gi"), "PersistentVolumeClaim data has 3Gi and cannot shrink to 2Gi: ask for 3Gi or more", "second", "3Gi"},
		{"back to the first revision", func() error {
			_, err := sdk.Rollback(ctx, ns, "store", 1)
			return err
		}, "", "first", "3Gi"},
		{"as much as the first revision", upgrade("fourth", "1Gi"), "", "fourth", "3Gi"},
	} {
		err := step.do()
		if (err != nil) != (step.refused != "") || err != nil && !strings.Contains(err.Error(), step.refused) {
			t.Fatalf("%s: the error is %v, want %q", step.name, err, step.refused)
		}
		claim, err := client.CoreV1().PersistentVolumeClaims(ns).Get(ctx, "data", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := claim.Spec.Resources.Requests.Storage().String(); got != step.size || title(t, client, ns) != step.title {
			t.Errorf("%s: the claim asks for %s and the title is %q, want %s and %q", step.name, got, title(t, client, ns), step.size, step.title)
		}
		if step.refused != "" {
			continue
		}
		rel, err := sdk.Get(ctx, ns, "store")
		if err != nil {
			t.Fatal(err)
		}
		if drifts, err := sdk.Drift(ctx, ns, "store", rel.Revision); err != nil || len(drifts) > 0 {
			t.Errorf("%s: drift %v, error %v", step.name, drifts, err)
		}
	}
}

// newClass makes a StorageClass that no volume is made for, and that does not allow
// them to grow.
func newClass(t *testing.T, client kubernetes.Interface, name string) string {
	t.Helper()
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "kubernetes.io/no-provisioner"}
	if _, err := client.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.StorageV1().StorageClasses().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	return name
}

// bind gives the claim data a volume. Where the cluster's controllers run they do
// the same.
func bind(t *testing.T, client kubernetes.Interface, ns string) {
	t.Helper()
	volumes, claims := client.CoreV1().PersistentVolumes(), client.CoreV1().PersistentVolumeClaims(ns)
	_, err := volumes.Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              ns,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere", Type: ptr.To(corev1.HostPathUnset)}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: ns, Name: "data"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = volumes.Delete(context.WithoutCancel(t.Context()), ns, metav1.DeleteOptions{}) })
	if _, err := claims.Patch(t.Context(), "data", types.MergePatchType, []byte(`{"spec":{"volumeName":"`+ns+`"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	bound := []byte(`{"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}`)
	if _, err := claims.Patch(t.Context(), "data", types.MergePatchType, bound, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}
