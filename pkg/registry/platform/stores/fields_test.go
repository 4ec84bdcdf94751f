package stores

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func newStore(ready ...metav1.ConditionStatus) *platform.Store {
	store := &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "shops", Labels: map[string]string{"tier": "gold"}},
		Spec:       platform.StoreSpec{Engine: "medusa", Plan: "small", Owner: "alice"},
		Status:     platform.StoreStatus{URL: "https://flowers.example.com", Namespace: "store-flowers", Version: "2.0"},
	}
	for _, status := range ready {
		store.Status.Conditions = append(store.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: "Tested"})
	}
	return store
}

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		label, field string
		store        *platform.Store
		want         bool
	}{
		{"", "", newStore(), true},
		{"tier=gold", "", newStore(), true},
		{"tier=iron", "", newStore(), false},
		{"", "metadata.name=flowers,metadata.namespace=shops", newStore(), true},
		{"", "metadata.namespace=other", newStore(), false},
		{"", "spec.engine=medusa,spec.plan=small,spec.owner=alice", newStore(), true},
		{"", "spec.owner!=alice", newStore(), false},
		{"", "status.ready=Unknown", newStore(), true},
		{"", "status.ready=True", newStore(metav1.ConditionTrue), true},
		{"", "status.ready=True", newStore(metav1.ConditionFalse), false},
		{"tier=gold", "spec.plan=large", newStore(), false},
	}
	for _, test := range tests {
		t.Run(test.label+" "+test.field, func(t *testing.T) {
			t.Parallel()
			label, err := labels.Parse(test.label)
			if err != nil {
				t.Fatal(err)
			}
			predicate := match(label, fields.ParseSelectorOrDie(test.field))
			got, err := predicate.Matches(test.store)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("matches: %t, want %t", got, test.want)
			}
		})
	}
}

// Every field that v1alpha1 lets through has a value to be selected by.
func TestSelectableFieldsAreTheDeclared(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	_, selectable, err := attributes(newStore())
	if err != nil {
		t.Fatal(err)
	}
	for name := range selectable {
		if _, _, err := scheme.ConvertFieldLabel(v1alpha1.SchemeGroupVersion.WithKind("Store"), name, ""); err != nil {
			t.Errorf("%s cannot be asked for: %v", name, err)
		}
	}
	if len(selectable) != 6 {
		t.Errorf("selectable fields %v, want metadata's two and four more", selectable)
	}
	if _, _, err := attributes(&platform.Engine{}); err == nil {
		t.Error("an engine was taken for a store")
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		store *platform.Store
		want  []any
	}{
		{"new", &platform.Store{ObjectMeta: metav1.ObjectMeta{Name: "bread"}}, []any{"bread", "", "", "Unknown", "", "", "<unknown>", "", "", ""}},
		{"ready", newStore(metav1.ConditionTrue), []any{
			"flowers", "medusa", "small", "True", "Tested", "https://flowers.example.com", "<unknown>", "store-flowers", "2.0", "alice",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := cells(test.store)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("cells (-want +got):\n%s", diff)
			}
			if len(got) != len(columns) {
				t.Errorf("%d cells for %d columns", len(got), len(columns))
			}
		})
	}
}
