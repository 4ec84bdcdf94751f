package provisioning

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// An upgrade that fails ends with what was there before, whoever dies meanwhile:
// the same objects as before, the same credentials, and a store that says so and
// does not try again.
func TestUpgradeReturnsByItself(t *testing.T) {
	for _, test := range []struct {
		version, why string
		// begun is when the upgrade has begun to fail.
		begun func(*v1alpha1.Store) bool
	}{
		{"unpullable", "There was no progress for 10s. Deployment shop: Pod shop-", func(s *v1alpha1.Store) bool {
			return s.Status.Version == "unpullable" && condition(s, v1alpha1.ConditionWorkloadReady).Status == metav1.ConditionFalse
		}},
		{"broken", "spec.ports[0].port", func(s *v1alpha1.Store) bool {
			return condition(s, v1alpha1.ConditionReady).Reason == "ReleaseFailed"
		}},
	} {
		t.Run(test.version, func(t *testing.T) {
			namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 10), &record{}
			first := startReplica(t, "first", record)
			create(t, namespace, "flowers", engine)
			store := ready(t, namespace, "flowers", metav1.ConditionTrue)
			secrets, shop := credentials(t, store), shopOf(t, store)

			change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) { s.Version = test.version })
			until(t, namespace, "flowers", patience, test.begun)
			first.kill()
			second := startReplica(t, "second", record)
			store = until(t, namespace, "flowers", patience, func(s *v1alpha1.Store) bool {
				c := condition(s, v1alpha1.ConditionReady)
				return c.Status == metav1.ConditionTrue && c.Reason == "UpgradeFailed" && c.ObservedGeneration == s.Generation
			})
			assertReturned(t, store, test.version, test.why)
			if diff := cmp.Diff(secrets, credentials(t, store)); diff != "" {
				t.Error("the credentials have changed")
			}
			now := shopOf(t, store)
			if now.UID != shop.UID || now.Spec.Template.Spec.Containers[0].Image != "shop:1" || *now.Spec.Replicas != 0 {
				t.Errorf("the Deployment is not as it was: UID %s, want %s; %+v", now.UID, shop.UID, now.Spec)
			}

			// Another process finds it so, too, and leaves it alone: the next revision
			// is the next thing asked for.
			returned := store.Status.Release.Revision
			second.kill()
			third := startReplica(t, "third", record)
			cleanUp(t, namespace)
			harness.Eventually(t, patience, "the third replica to look at the store", func(context.Context) (bool, error) {
				return slices.ContainsFunc(record.all(), func(r request) bool {
					return r.replica == third.name && r.namespace == store.Status.Namespace
				}), nil
			})
			change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) { s.Version = "2.0" })
			store = until(t, namespace, "flowers", patience, func(s *v1alpha1.Store) bool {
				return s.Status.Version == "2.0" && condition(s, v1alpha1.ConditionReady).Status == metav1.ConditionTrue
			})
			if got := store.Status.Release.Revision; got != returned+1 {
				t.Errorf("the release has revision %d, want %d: the failed upgrade was tried again", got, returned+1)
			}
			if stalled := condition(store, v1alpha1.ConditionStalled); stalled != nil || store.Status.Release.Failed != nil {
				t.Errorf("a store that was upgraded still tells of %+v, %+v", stalled, store.Status.Release.Failed)
			}
		})
	}
}

// assertReturned checks what a store says that runs version 1.0 again.
func assertReturned(t *testing.T, store *v1alpha1.Store, version, why string) {
	t.Helper()
	for conditionType, want := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionTrue, v1alpha1.ConditionStorefrontReady: metav1.ConditionTrue,
		v1alpha1.ConditionReleaseInstalled: metav1.ConditionFalse, v1alpha1.ConditionStalled: metav1.ConditionTrue,
	} {
		if c := condition(store, conditionType); c == nil || c.Status != want {
			t.Errorf("%s is %+v, want %s", conditionType, c, want)
		}
	}
	message := condition(store, v1alpha1.ConditionReady).Message
	for _, part := range []string{"upgrade to version " + version, "returned to revision 1 with version 1.0", why} {
		if !strings.Contains(message, part) {
			t.Errorf("Ready says %q, without %q", message, part)
		}
	}
	if store.Status.Version != "1.0" {
		t.Errorf("status.version is %q, want what runs", store.Status.Version)
	}
	if last := store.Status.Release.Actions[0]; last.Action != "rollback" || last.Result != "succeeded" {
		t.Errorf("the last action is %+v, want a rollback", last)
	}
	for _, action := range store.Status.Release.Actions {
		if action.Action == "uninstall" {
			t.Error("the release was uninstalled on the way")
		}
	}
}

func shopOf(t *testing.T, store *v1alpha1.Store) *appsv1.Deployment {
	t.Helper()
	shop, err := harness.Core(t, env.Admin()).AppsV1().Deployments(store.Status.Namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return shop
}

// Another plan brings other bounds and other values.
func TestPlanChange(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	engine.Spec.Plans = append(engine.Spec.Plans, v1alpha1.EnginePlan{
		Name:   "large",
		Quota:  map[string]resource.Quantity{"limits.cpu": resource.MustParse("8")},
		Limits: v1alpha1.ContainerLimits{Max: map[string]resource.Quantity{"cpu": resource.MustParse("4")}},
		Values: &runtime.RawExtension{Raw: []byte(`{"port":8080}`)},
	})
	if _, err := harness.Platform(t, env.Admin()).Engines().Update(t.Context(), engine, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	startReplica(t, "a", record)
	cleanUp(t, namespace)
	create(t, namespace, "flowers", engine)
	ready(t, namespace, "flowers", metav1.ConditionTrue)

	change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) { s.Plan = "large" })
	store := ready(t, namespace, "flowers", metav1.ConditionTrue)
	client := harness.Core(t, env.Admin()).CoreV1()
	harness.Eventually(t, patience, "the bounds of the larger plan, new ones too", func(ctx context.Context) (bool, error) {
		quota, err := client.ResourceQuotas(store.Status.Namespace).Get(ctx, "store-plan", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		limits, err := client.LimitRanges(store.Status.Namespace).Get(ctx, "store-plan", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		container := limits.Spec.Limits[0]
		return quota.Spec.Hard.Name("limits.cpu", "").String() == "8" &&
			container.Type == corev1.LimitTypeContainer && container.Max.Cpu().String() == "4", nil
	})
	service, err := client.Services(store.Status.Namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string][2]string{
		"the chart's port": {resource.NewQuantity(int64(service.Spec.Ports[0].Port), resource.DecimalSI).String(), "8080"},
		"the last action":  {store.Status.Release.Actions[0].Action, "upgrade"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %s, want %s", what, got[0], got[1])
		}
	}
}
