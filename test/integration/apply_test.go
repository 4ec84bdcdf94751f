package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/dynamic"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	applyv1alpha1 "platform.dev/stores/pkg/generated/applyconfiguration/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func TestApplyNamesConflictingManagers(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	wanted := func(title string) *applyv1alpha1.StoreApplyConfiguration {
		return applyv1alpha1.Store("flowers", namespace).WithSpec(applyv1alpha1.StoreSpec().WithEngine(engine.Name).WithDisplayName(title))
	}
	if _, err := stores.Apply(t.Context(), wanted("Flowers"), metav1.ApplyOptions{FieldManager: "gitops"}); err != nil {
		t.Fatalf("applying a new store: %v", err)
	}
	_, err := stores.Apply(t.Context(), wanted("Roses"), metav1.ApplyOptions{FieldManager: "dashboard"})
	if !apierrors.IsConflict(err) {
		t.Fatalf("applying another manager's field: %v, want Conflict", err)
	}
	contains(t, err.Error(), `conflict with "gitops"`, ".spec.displayName")
	if _, err := stores.Apply(t.Context(), wanted("Flowers"), metav1.ApplyOptions{FieldManager: "dashboard"}); err != nil {
		t.Errorf("applying what is there already: %v", err)
	}
	forced, err := stores.Apply(t.Context(), wanted("Roses"), metav1.ApplyOptions{FieldManager: "dashboard", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if forced.Spec.DisplayName != "Roses" {
		t.Errorf("displayName is %q after a forced apply, want Roses", forced.Spec.DisplayName)
	}
	// A field that its last manager gives up gets its default back.
	if _, err := stores.Apply(t.Context(), wanted("Roses"), metav1.ApplyOptions{FieldManager: "gitops", Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, manager := range []string{"gitops", "dashboard"} {
		without := applyv1alpha1.Store("flowers", namespace).WithSpec(applyv1alpha1.StoreSpec().WithEngine(engine.Name))
		if forced, err = stores.Apply(t.Context(), without, metav1.ApplyOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	if forced.Spec.DisplayName != "flowers" {
		t.Errorf("displayName is %q when nobody sets it, want the store's name", forced.Spec.DisplayName)
	}
}

// What the server or another subresource writes is nobody's by apply.
func TestApplyOwnsNeitherStatusNorOwner(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	condition := func(status metav1.ConditionStatus) *metav1apply.ConditionApplyConfiguration {
		return metav1apply.Condition().WithType(v1alpha1.ConditionReady).WithStatus(status).
			WithReason("Tested").WithMessage("").WithLastTransitionTime(metav1.Now())
	}
	applied, err := stores.Apply(t.Context(), applyv1alpha1.Store("owned", namespace).
		WithSpec(applyv1alpha1.StoreSpec().WithEngine(engine.Name).WithOwner("mallory")).
		WithStatus(applyv1alpha1.StoreStatus().WithURL("https://evil.example.com").WithConditions(condition(metav1.ConditionTrue))),
		metav1.ApplyOptions{FieldManager: "gitops"})
	if err != nil {
		t.Fatal(err)
	}
	if applied.Spec.Owner != "admin" || applied.Status.URL != "" {
		t.Errorf("owner %q and url %q came from the client", applied.Spec.Owner, applied.Status.URL)
	}
	applied, err = stores.ApplyStatus(t.Context(), applyv1alpha1.Store("owned", namespace).
		WithSpec(applyv1alpha1.StoreSpec().WithDisplayName("Roses")).
		WithStatus(applyv1alpha1.StoreStatus().WithURL("https://flowers.example.com").WithConditions(condition(metav1.ConditionFalse))),
		metav1.ApplyOptions{FieldManager: "provisioner", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if applied.Spec.DisplayName != "owned" || applied.Status.URL != "https://flowers.example.com" || len(applied.Status.Conditions) != 1 {
		t.Errorf("after applying the status: title %q, status %+v", applied.Spec.DisplayName, applied.Status)
	}
	want := map[string]string{
		"gitops":      `{"f:spec":{"f:engine":{}}}`,
		"provisioner": `{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:lastTransitionTime":{},"f:message":{},"f:reason":{},"f:status":{},"f:type":{}}},"f:url":{}}}`,
	}
	got := map[string]string{}
	for _, entry := range applied.ManagedFields {
		if entry.Operation == metav1.ManagedFieldsOperationApply {
			got[entry.Manager] = entry.FieldsV1.GetRawString()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("managed fields (-want +got):\n%s", diff)
	}
}

// Free-form values are applied, taken over and given up like any other field.
func TestApplyValues(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	wanted := func(values string) *applyv1alpha1.StoreApplyConfiguration {
		spec := applyv1alpha1.StoreSpec().WithEngine(engine.Name).WithHost("flowers." + engine.Name + ".example.com")
		if values != "" {
			spec = spec.WithValues(runtime.RawExtension{Raw: []byte(values)})
		}
		return applyv1alpha1.Store("flowers", namespace).WithSpec(spec)
	}
	for _, values := range []string{`{"theme":"dark"}`, `{"theme":"light"}`, ""} {
		applied, err := stores.Apply(t.Context(), wanted(values), metav1.ApplyOptions{FieldManager: "gitops"})
		if err != nil {
			t.Fatalf("applying values %q: %v", values, err)
		}
		got := ""
		if applied.Spec.Values != nil {
			got = string(applied.Spec.Values.Raw)
		}
		if got != values {
			t.Errorf("values are %q, want %q", got, values)
		}
	}
}

func TestDynamicClient(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	client, err := dynamic.NewForConfig(env.Admin())
	if err != nil {
		t.Fatal(err)
	}
	stores := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("stores")).Namespace(namespace)
	store := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "platform.dev/v1alpha1",
		"kind":       "Store",
		"metadata":   map[string]any{"name": "flowers"},
		"spec":       map[string]any{"engine": engine.Name, "host": "flowers." + engine.Name + ".example.com", "unknown": true},
	}}
	if _, err := stores.Create(t.Context(), store, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); !apierrors.IsBadRequest(err) {
		t.Errorf("creating with an unknown field: %v, want BadRequest", err)
	} else {
		contains(t, err.Error(), `unknown field "spec.unknown"`)
	}
	unstructured.RemoveNestedField(store.Object, "spec", "unknown")
	created, err := stores.Create(t.Context(), store, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(created.Object, "Roses", "spec", "displayName"); err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Update(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := stores.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if list.GetKind() != "StoreList" || len(list.Items) != 1 || list.Items[0].GetKind() != "Store" {
		t.Fatalf("list of kind %s with %d items", list.GetKind(), len(list.Items))
	}
	if title, _, _ := unstructured.NestedString(list.Items[0].Object, "spec", "displayName"); title != "Roses" {
		t.Errorf("displayName is %q, want Roses", title)
	}
	if err := stores.Delete(t.Context(), "flowers", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
