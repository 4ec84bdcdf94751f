package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func TestCreateFillsDefaults(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	bare := newStore("defaults", engine)
	bare.Spec.Host = ""
	create(t, namespace, bare)

	store, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), "defaults", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.StoreSpec{
		Engine:         engine.Name,
		Version:        "2.0",
		UpgradePolicy:  v1alpha1.UpgradePolicyAutomatic,
		Plan:           "small",
		DisplayName:    "defaults",
		Host:           "defaults." + harness.Domain,
		AdminEmail:     "admin@defaults." + harness.Domain,
		PowerState:     v1alpha1.PowerStateRunning,
		DeletionPolicy: v1alpha1.DeletionPolicyDelete,
		Owner:          "admin",
	}
	if diff := cmp.Diff(want, store.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if store.Generation != 1 {
		t.Errorf("generation is %d, want 1", store.Generation)
	}
	if diff := cmp.Diff([]string{v1alpha1.Finalizer}, store.Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
}

func TestCreateIgnoresWhatOnlyTheServerKnows(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	store := newStore("flowers", engine)
	store.Spec.Owner = "mallory"
	store.Generation = 7
	store.Status = v1alpha1.StoreStatus{
		URL: "https://evil.example.com",
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Forged", LastTransitionTime: metav1.Now(),
		}},
	}
	// The answer to the write is what watchers see first.
	created := create(t, namespace, store)
	if created.Spec.Owner != "admin" {
		t.Errorf("owner is %q, want admin", created.Spec.Owner)
	}
	if created.Generation != 1 {
		t.Errorf("generation is %d, want 1", created.Generation)
	}
	want := v1alpha1.StoreStatus{Conditions: []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonPending,
	}}}
	ignore := cmpopts.IgnoreFields(metav1.Condition{}, "Message", "LastTransitionTime")
	if diff := cmp.Diff(want, created.Status, ignore); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if ready := meta.FindStatusCondition(created.Status.Conditions, v1alpha1.ConditionReady); ready.LastTransitionTime.IsZero() {
		t.Error("the Ready condition has no transition time")
	}
}

func TestNeverAgain01OwnerIsTheAuthenticatedUser(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	env.Allow(t, "alice", namespace, "platform-stores-edit")
	impersonating := env.Admin()
	impersonating.Impersonate = rest.ImpersonationConfig{UserName: "alice"}
	tests := []struct {
		name   string
		config *rest.Config
		owner  string
	}{
		{"administrator", env.Admin(), "admin"},
		{"user", env.User("alice"), "alice"},
		{"impersonated", impersonating, "alice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := newStore(test.name, engine)
			store.Spec.Owner = "mallory"
			stores := harness.Platform(t, test.config).Stores(namespace)
			var created *v1alpha1.Store
			harness.Eventually(t, patience, "the user's rights", untilAllowed(func() (err error) {
				created, err = stores.Create(t.Context(), store, metav1.CreateOptions{})
				return err
			}))
			if created.Spec.Owner != test.owner {
				t.Errorf("owner is %q, want %q", created.Spec.Owner, test.owner)
			}
		})
	}
}

// No later write and no header changes who the owner is.
func TestNeverAgain01OwnerStays(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	forging := env.Admin()
	forging.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			request = request.Clone(request.Context())
			for _, header := range []string{"X-Remote-User", "X-User-Id", "X-Forwarded-User", "X-Remote-Extra-Owner"} {
				request.Header.Set(header, "mallory")
			}
			return next.RoundTrip(request)
		})
	}
	stores := harness.Platform(t, forging).Stores(namespace)
	store, err := stores.Create(t.Context(), newStore("flowers", engine), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created := store.ResourceVersion
	store.Spec.Owner, store.Spec.Plan = "mallory", "large"
	for way, write := range map[string]func() (*v1alpha1.Store, error){
		"create": func() (*v1alpha1.Store, error) { return stores.Get(t.Context(), "flowers", metav1.GetOptions{}) },
		"update": func() (*v1alpha1.Store, error) {
			forged := store.DeepCopy()
			forged.ResourceVersion = ""
			return stores.Update(t.Context(), forged, metav1.UpdateOptions{})
		},
		"status": func() (*v1alpha1.Store, error) {
			forged := store.DeepCopy()
			forged.ResourceVersion = ""
			return stores.UpdateStatus(t.Context(), forged, metav1.UpdateOptions{})
		},
		"patch": func() (*v1alpha1.Store, error) {
			return stores.Patch(t.Context(), "flowers", types.MergePatchType, []byte(`{"spec":{"owner":"mallory"}}`), metav1.PatchOptions{})
		},
		"status patch": func() (*v1alpha1.Store, error) {
			return stores.Patch(t.Context(), "flowers", types.MergePatchType, []byte(`{"spec":{"owner":"mallory"}}`), metav1.PatchOptions{}, "status")
		},
		"rollback": func() (*v1alpha1.Store, error) {
			return rollBack(t, forging, store, created, metav1.CreateOptions{})
		},
	} {
		if got, err := write(); err != nil || got.Spec.Owner != "admin" {
			t.Errorf("%s: owner %q, error %v", way, got.Spec.Owner, err)
		}
	}
}

func TestCreateOfExistingNameChangesNothing(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	first := create(t, namespace, newStore("flowers", engine))
	env.Allow(t, "mallory", namespace, "platform-stores-edit")
	mallory := harness.Platform(t, env.User("mallory")).Stores(namespace)

	second := newStore("flowers", engine)
	second.Spec.DisplayName = "Taken"
	var err error
	harness.Eventually(t, patience, "the user's rights", untilAllowed(func() error {
		_, err = mallory.Create(t.Context(), second, metav1.CreateOptions{})
		return err
	}))
	if !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating a taken name: %v, want AlreadyExists", err)
	}
	after, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, after); diff != "" {
		t.Errorf("the first store changed (-before +after):\n%s", diff)
	}
}

func TestCreateWithGeneratedName(t *testing.T) {
	t.Parallel()
	store := newStore("", newEngine(t))
	store.GenerateName, store.Spec.Host = "shop-", ""
	created := create(t, env.NewNamespace(t), store)
	if !strings.HasPrefix(created.Name, "shop-") || created.Spec.Host != created.Name+"."+harness.Domain {
		t.Errorf("name %q and host %q do not belong together", created.Name, created.Spec.Host)
	}
}

func TestNameCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	seen := map[string]bool{}
	for range 5 {
		store := create(t, namespace, newStore("flowers", engine))
		if seen[string(store.UID)] {
			t.Fatalf("UID %s came twice", store.UID)
		}
		seen[string(store.UID)] = true
		store.Finalizers = nil
		if _, err := stores.Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := stores.Delete(t.Context(), "flowers", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
