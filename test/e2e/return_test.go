package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// A store whose upgrade cannot work returns by itself to what it ran before, with
// its orders and its passwords, says why, and can be upgraded to something better.
func TestFailedUpgradeKeepsTheOrders(t *testing.T) {
	t.Parallel()
	engine := newMedusaEngine(t, "medusa-next", 40,
		v1alpha1.EngineVersion{Name: "broken", Values: rawValues(`{"image":{"tag":"there-is-no-such-image","pullPolicy":"IfNotPresent"}}`)},
		v1alpha1.EngineVersion{Name: "better", Values: rawValues(`{"resources":{"medusa":{"requests":{"memory":"500Mi"}}}}`)},
	)
	createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "returns"}, Spec: v1alpha1.StoreSpec{Engine: engine.Name}})
	store := waitFor(t, "returns", v1alpha1.ConditionReady, 8*time.Minute)
	good, secrets := store.Status.Version, credentials(t, store)
	first := orderNumber(t, store)

	upgrade(t, "returns", "broken")
	eventually(t, 4*time.Minute, "the upgrade to be taken back", func(ctx context.Context) (bool, string) {
		found, err := getStore(ctx, "returns")
		if err != nil {
			return false, err.Error()
		}
		store = found
		for _, c := range store.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue && c.Reason == "UpgradeFailed" && c.ObservedGeneration == store.Generation {
				return true, ""
			}
		}
		return false, describe(store)
	})
	if said := describe(store); !strings.Contains(said, "there-is-no-such-image") {
		t.Errorf("the store does not name the image that cannot be had:\n%s", said)
	}
	if store.Status.Version != good {
		t.Errorf("the store runs version %q, want %q as before", store.Status.Version, good)
	}
	if second := orderNumber(t, store); second != first+1 {
		t.Errorf("order %d came before the upgrade and %d after it: the orders did not stay", first, second)
	}

	upgrade(t, "returns", "better")
	store = waitFor(t, "returns", v1alpha1.ConditionReady, 4*time.Minute)
	if store.Status.Version != "better" || store.Status.Release.Failed != nil {
		t.Errorf("after a working upgrade the store runs %q, and its release is %+v", store.Status.Version, store.Status.Release)
	}
	if third := orderNumber(t, store); third != first+2 {
		t.Errorf("order %d came first and %d after two upgrades", first, third)
	}
	if diff := cmp.Diff(secrets, credentials(t, store)); diff != "" {
		t.Errorf("the credentials changed (-before +after):\n%s", diff)
	}
}

// newMedusaEngine offers MedusaJS under another name, with more versions, for the
// time of a test.
func newMedusaEngine(t *testing.T, name string, deadlineSeconds int32, more ...v1alpha1.EngineVersion) *v1alpha1.Engine {
	t.Helper()
	return newEngine(t, "medusa", name, deadlineSeconds, more...)
}

// newEngine offers an engine under another name, with more versions, for the time of
// a test.
func newEngine(t *testing.T, like, name string, deadlineSeconds int32, more ...v1alpha1.EngineVersion) *v1alpha1.Engine {
	t.Helper()
	return editedEngine(t, like, name, func(spec *v1alpha1.EngineSpec) {
		spec.ProgressDeadlineSeconds = deadlineSeconds
		spec.Versions = append(spec.Versions, more...)
	})
}

// editedEngine offers an engine under another name, edited, for the time of a test.
func editedEngine(t *testing.T, like, name string, edit func(*v1alpha1.EngineSpec)) *v1alpha1.Engine {
	t.Helper()
	engines := platform.PlatformV1alpha1().Engines()
	engine, err := engines.Get(t.Context(), like, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	engine.ObjectMeta = metav1.ObjectMeta{Name: name}
	edit(&engine.Spec)
	if engine, err = engines.Create(t.Context(), engine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Refused until the last store of the engine is gone.
		_ = wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), time.Second, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
			err := engines.Delete(ctx, name, metav1.DeleteOptions{})
			return err == nil || apierrors.IsNotFound(err), nil
		})
	})
	return engine
}

func rawValues(values string) *runtime.RawExtension {
	return &runtime.RawExtension{Raw: []byte(values)}
}

// upgrade asks for another version of a store's engine.
func upgrade(t *testing.T, name, version string) {
	t.Helper()
	patchStore(t, name, fmt.Sprintf(`{"spec":{"version":%q}}`, version))
}

// orderNumber places an order and returns its number, which the shop counts.
func orderNumber(t *testing.T, store *v1alpha1.Store) int {
	t.Helper()
	var placed struct{ Number int }
	if output := order(t, store); json.Unmarshal([]byte(output), &placed) != nil || placed.Number == 0 {
		t.Fatalf("the order has no number: %s", output)
	}
	return placed.Number
}
