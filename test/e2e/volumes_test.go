package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// A larger plan gives a shop a larger database volume while it sells. One whose
// storage class does not allow that says so, and sells on.
func TestVolumesGrowWhileTheShopSells(t *testing.T) {
	t.Parallel()
	fixed := fixedClass(t, "grows-fixed")
	engine := editedEngine(t, "medusa", "medusa-grows", func(spec *v1alpha1.EngineSpec) {
		spec.Values = rawValues(strings.Replace(string(spec.Values.Raw), `"uploads":{"storageClassName":""}`,
			fmt.Sprintf(`"uploads":{"storageClassName":%q}`, fixed), 1))
		roomy := *spec.Plans[0].DeepCopy()
		roomy.Name, roomy.Values = "roomy", rawValues(`{"persistence":{"database":{"size":"3Gi"}}}`)
		spec.Plans = append(spec.Plans, roomy)
	})
	createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "grows"}, Spec: v1alpha1.StoreSpec{Engine: engine.Name}})
	store := waitFor(t, "grows", v1alpha1.ConditionReady, 8*time.Minute)
	first, pods := orderNumber(t, store), podsOf(t, store.Status.Namespace)

	patchStore(t, "grows", `{"spec":{"plan":"roomy"}}`)
	var told []string
	eventually(t, 4*time.Minute, "the database's volume to have 3Gi", func(ctx context.Context) (bool, string) {
		store, err := getStore(ctx, "grows")
		if err != nil {
			return false, err.Error()
		}
		reconciling := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReconciling)
		if reconciling != nil && reconciling.Reason == "VolumeResizing" && meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionReady) {
			told = append(told, reconciling.Message)
		}
		return capacity(t, store, "database") == "3Gi" && reconciling == nil, describe(store)
	})
	// A volume that has grown before the provisioner looks is not told of.
	for _, message := range told {
		if !strings.HasPrefix(message, "PersistentVolumeClaim database grows from 2Gi to 3Gi") {
			t.Errorf("while the volume grew the store said %q", message)
		}
	}
	if diff := cmp.Diff(pods, podsOf(t, store.Status.Namespace)); diff != "" {
		t.Errorf("the shop's pods have changed (-before +after):\n%s", diff)
	}

	patchStore(t, "grows", `{"spec":{"values":{"persistence":{"uploads":{"size":"4Gi"}}}}}`)
	eventually(t, 2*time.Minute, "the store to say that the uploads' volume cannot grow", func(ctx context.Context) (bool, string) {
		store, err := getStore(ctx, "grows")
		if err != nil {
			return false, err.Error()
		}
		ready := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
		return ready.Status == metav1.ConditionTrue && ready.Reason == "UpgradeFailed" && ready.ObservedGeneration == store.Generation &&
			strings.Contains(ready.Message, "PersistentVolumeClaim uploads of StorageClass "+fixed+" cannot grow from 1Gi to 4Gi"), describe(store)
	})
	if second := orderNumber(t, store); second != first+1 {
		t.Errorf("order %d came before the volumes were to grow and %d afterwards", first, second)
	}
	if diff := cmp.Diff(pods, podsOf(t, store.Status.Namespace)); diff != "" {
		t.Errorf("the shop's pods have changed (-before +after):\n%s", diff)
	}
}

// fixedClass makes a StorageClass like the cluster's own, whose volumes do not grow.
func fixedClass(t *testing.T, name string) string {
	t.Helper()
	classes := core.StorageV1().StorageClasses()
	standard, err := classes.Get(t.Context(), "standard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: standard.Provisioner}
	if _, err := classes.Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = classes.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
	return name
}

// capacity is what a claim of the store's has.
func capacity(t *testing.T, store *v1alpha1.Store, name string) string {
	t.Helper()
	claim, err := core.CoreV1().PersistentVolumeClaims(store.Status.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return claim.Status.Capacity.Storage().String()
}

func patchStore(t *testing.T, name, patch string) {
	t.Helper()
	if _, err := platform.PlatformV1alpha1().Stores("default").Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatalf("patching store %s with %s: %v", name, patch, err)
	}
}
