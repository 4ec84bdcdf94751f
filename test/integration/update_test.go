package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func TestGenerationCountsChangesOfTheSpec(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	tests := []struct {
		name, patch string
		subresource []string
		bumps       bool
	}{
		{"title", `{"spec":{"displayName":"Other"}}`, nil, true},
		{"upgrade", `{"spec":{"version":"1.0"}}`, nil, true},
		{"values", `{"spec":{"values":{"theme":"dark"}}}`, nil, true},
		{"same-spec", `{"spec":{"plan":"small"}}`, nil, false},
		{"label", `{"metadata":{"labels":{"a":"b"}}}`, nil, false},
		{"annotation", `{"metadata":{"annotations":{"a":"b"}}}`, nil, false},
		{"owner", `{"spec":{"owner":"mallory"}}`, nil, false},
		{"status", `{"status":{"url":"https://flowers.example.com"}}`, []string{"status"}, false},
		{"spec-through-status", `{"spec":{"displayName":"Other"}}`, []string{"status"}, false},
		{"status-through-spec", `{"status":{"url":"https://flowers.example.com"}}`, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := create(t, namespace, newStore(test.name, engine))
			after, err := harness.Platform(t, env.Admin()).Stores(namespace).Patch(t.Context(), test.name,
				types.MergePatchType, []byte(test.patch), metav1.PatchOptions{}, test.subresource...)
			if err != nil {
				t.Fatal(err)
			}
			if bumped := after.Generation == before.Generation+1; bumped != test.bumps {
				t.Errorf("generation went from %d to %d", before.Generation, after.Generation)
			}
			if !test.bumps {
				if diff := cmp.Diff(before.Spec, after.Spec); diff != "" {
					t.Errorf("the spec changed (-before +after):\n%s", diff)
				}
			}
		})
	}
}

// Clients in other languages put white space into values and do not escape what HTML
// would misread. That is no change.
func TestGenerationIsNotOfHowValuesAreWritten(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	written := func(obj any) []byte {
		t.Helper()
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(obj); err != nil {
			t.Fatal(err)
		}
		return buffer.Bytes()
	}
	engine := newEngine(t).DeepCopy()
	engine.ObjectMeta = metav1.ObjectMeta{Name: engine.Name + "-free"}
	engine.Spec.ValuesSchema.Raw = []byte(`{"type":"object","properties":{"title":{"type":"string","description":"a <b>"}}}`)
	store := newStore("flowers", engine)
	store.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"title":"<Flowers> & more"}`)}
	for _, test := range []struct {
		resource, name, namespace string
		obj                       any
	}{
		{"engines", engine.Name, "", engine},
		{"stores", store.Name, namespace, store},
	} {
		client := harness.Platform(t, env.Admin()).RESTClient()
		for _, request := range []*rest.Request{
			client.Post().Body(written(test.obj)),
			client.Patch(types.MergePatchType).Name(test.name).Body([]byte(`{"metadata":{"labels":{"a":"b"}}}`)),
			client.Put().Name(test.name).Body(written(test.obj)),
		} {
			answer, err := request.Resource(test.resource).NamespaceIfScoped(test.namespace, test.namespace != "").Do(t.Context()).Get()
			if err != nil {
				t.Fatal(err)
			}
			if got := answer.(metav1.Object).GetGeneration(); got != 1 {
				t.Errorf("%s: generation %d, want 1", test.resource, got)
			}
		}
	}
}

func TestSpecAndStatusAreWrittenApart(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	before := setReady(t, create(t, namespace, newStore("flowers", newEngine(t))), metav1.ConditionTrue)

	wanted := before.DeepCopy()
	wanted.Spec.DisplayName = "New title"
	wanted.Labels = map[string]string{"tier": "gold"}
	wanted.Status.URL = "https://new.example.com"

	throughStatus, err := stores.UpdateStatus(t.Context(), wanted, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Spec, throughStatus.Spec); diff != "" || len(throughStatus.Labels) > 0 {
		t.Errorf("the status subresource changed labels to %v and the spec (-before +after):\n%s", throughStatus.Labels, diff)
	}
	if throughStatus.Status.URL != wanted.Status.URL {
		t.Errorf("status.url is %q, want %q", throughStatus.Status.URL, wanted.Status.URL)
	}

	wanted.ResourceVersion = throughStatus.ResourceVersion
	wanted.Status = v1alpha1.StoreStatus{}
	throughMain, err := stores.Update(t.Context(), wanted, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(throughStatus.Status, throughMain.Status); diff != "" {
		t.Errorf("the main resource changed the status (-before +after):\n%s", diff)
	}
	if throughMain.Spec.DisplayName != "New title" || throughMain.Labels["tier"] != "gold" {
		t.Errorf("the main resource did not change spec and labels: %+v", throughMain)
	}
}

func TestDeletionProtection(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	protected := newStore("flowers", newEngine(t))
	protected.Spec.DeletionProtection = true
	store := create(t, namespace, protected)

	refused := map[string]error{
		"delete":            stores.Delete(t.Context(), "flowers", metav1.DeleteOptions{}),
		"dry run":           stores.Delete(t.Context(), "flowers", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}),
		"delete collection": stores.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}),
	}
	for name, err := range refused {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want Forbidden", name, err)
			continue
		}
		contains(t, err.Error(), "flowers", "spec.deletionProtection")
	}
	after, err := stores.Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store, after); diff != "" {
		t.Errorf("the protected store changed (-before +after):\n%s", diff)
	}
	store.Spec.DeletionProtection = false
	if _, err := stores.Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := stores.Delete(t.Context(), "flowers", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting without protection: %v", err)
	}
}

func TestEngineInUseStays(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	store := create(t, namespace, newStore("flowers", engine))
	engines := harness.Platform(t, env.Admin()).Engines()

	err := engines.Delete(t.Context(), engine.Name, metav1.DeleteOptions{})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("deleting an engine in use: %v, want Forbidden", err)
	}
	contains(t, err.Error(), namespace+"/flowers", "spec.engine="+engine.Name)

	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	store.Finalizers = nil
	if _, err := stores.Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := stores.Delete(t.Context(), "flowers", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := engines.Delete(t.Context(), engine.Name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting an engine that no store uses: %v", err)
	}
}

// Deleting all engines at once is no way around that.
func TestEngineInUseStaysInItsCollection(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	namespace := env.NewNamespace(t)
	create(t, namespace, newStore("flowers", engine))
	engines := harness.Platform(t, env.Admin()).Engines()
	err := engines.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + engine.Name})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("deleting an engine in use: %v, want Forbidden", err)
	}
	contains(t, err.Error(), engine.Name, namespace+"/flowers")
}

// A new version in the engine can be used at once, and does not move the stores
// that name none.
func TestVersionAndPlanStayPinned(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	wanted := newStore("flowers", engine)
	create(t, namespace, wanted)

	engine.Spec.Versions = append(engine.Spec.Versions, v1alpha1.EngineVersion{Name: "3.0"})
	engine.Spec.DefaultVersion, engine.Spec.DefaultPlan = "3.0", "large"
	if _, err := harness.Platform(t, env.Admin()).Engines().Update(t.Context(), engine, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	upgrade := newStore("bread", engine)
	upgrade.Spec.Version = "3.0"
	create(t, namespace, upgrade)
	harness.Eventually(t, patience, "the new defaults to count", func(ctx context.Context) (bool, error) {
		store := &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{GenerateName: "new-"}, Spec: v1alpha1.StoreSpec{Engine: engine.Name}}
		created, err := stores.Create(ctx, store, metav1.CreateOptions{})
		return err == nil && created.Spec.Version == "3.0" && created.Spec.Plan == "large", err
	})
	replaced, err := stores.Update(t.Context(), wanted, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if replaced.Spec.Version != "2.0" || replaced.Spec.Plan != "small" || replaced.Generation != 1 {
		t.Errorf("replacing the store with its first manifest gives version %q and plan %q, generation %d",
			replaced.Spec.Version, replaced.Spec.Plan, replaced.Generation)
	}
}

func TestBadStatusIsRefused(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	tests := []struct {
		name    string
		status  v1alpha1.StoreStatus
		field   string
		message string
	}{
		{"condition without reason", v1alpha1.StoreStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.Now()}}},
			"status.conditions[0].reason", "Required value"},
		{"condition twice", v1alpha1.StoreStatus{Conditions: []metav1.Condition{
			{Type: "Ready", Status: "True", Reason: "A", LastTransitionTime: metav1.Now()},
			{Type: "Ready", Status: "False", Reason: "B", LastTransitionTime: metav1.Now()},
		}}, "status.conditions[1]", "Duplicate value"},
		{"unknown state", v1alpha1.StoreStatus{Steps: []v1alpha1.StoreStep{{Name: "NamespaceReady", State: "Odd"}}},
			"status.steps[0].state", "supported values"},
	}
	store := create(t, namespace, newStore("flowers", engine))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bad := store.DeepCopy()
			bad.Status = test.status
			_, err := harness.Platform(t, env.Admin()).Stores(namespace).UpdateStatus(t.Context(), bad, metav1.UpdateOptions{})
			invalid(t, err, test.field, test.message)
		})
	}
}

// A store must not be stuck because what it was made with is no longer offered.
func TestStoreOutlivesItsEnginesOffer(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	store := create(t, namespace, newStore("flowers", engine))

	engine.Spec.Versions, engine.Spec.DefaultVersion = []v1alpha1.EngineVersion{{Name: "3.0"}}, "3.0"
	updated, err := harness.Platform(t, env.Admin()).Engines().Update(t.Context(), engine, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Generation != 2 {
		t.Errorf("the engine's generation is %d, want 2", updated.Generation)
	}
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	store.Spec.DisplayName = "Still here"
	if _, err := stores.Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
		t.Errorf("changing the title of a store with an old version: %v", err)
	}
	store.ResourceVersion, store.Spec.Version = "", "1.0"
	harness.Eventually(t, patience, "the new offer to count", func(ctx context.Context) (bool, error) {
		_, err := stores.Update(ctx, store, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsInvalid(err), nil
	})
}
