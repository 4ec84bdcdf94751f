package integration

import (
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestFieldSelectors(t *testing.T) {
	t.Parallel()
	namespace, engine, other := newNamespace(t), newEngine(t), newEngine(t)
	allow(t, "alice", namespace, "platform-stores-edit")
	create(t, namespace, newStore("small", engine))
	large := newStore("large", engine)
	large.Spec.Plan = "large"
	create(t, namespace, large)
	setReady(t, create(t, namespace, newStore("sells", other)), metav1.ConditionTrue)
	eventually(t, "the user's rights", untilAllowed(func() error {
		_, err := platformClient(t, env.User("alice")).Stores(namespace).Create(t.Context(), newStore("alices", other), metav1.CreateOptions{})
		return err
	}))
	tests := []struct {
		selector string
		want     []string
	}{
		{"spec.engine=" + engine.Name, []string{"large", "small"}},
		{"spec.engine!=" + engine.Name, []string{"alices", "sells"}},
		{"spec.plan=large", []string{"large"}},
		{"spec.owner=alice", []string{"alices"}},
		{"status.ready=True", []string{"sells"}},
		{"status.ready=Unknown", []string{"alices", "large", "small"}},
		{"status.ready!=True,spec.plan=small", []string{"alices", "small"}},
		{"metadata.name=small", []string{"small"}},
		{"metadata.namespace=" + namespace, []string{"alices", "large", "sells", "small"}},
		{"spec.engine=none", nil},
	}
	stores := platformClient(t, env.Admin()).Stores(namespace)
	for _, test := range tests {
		t.Run(test.selector, func(t *testing.T) {
			t.Parallel()
			list, err := stores.List(t.Context(), metav1.ListOptions{FieldSelector: test.selector})
			if err != nil {
				t.Fatal(err)
			}
			if got := names(list); !slices.Equal(got, test.want) {
				t.Errorf("list: got %v, want %v", got, test.want)
			}
			// A watch that starts from nothing sends the same set.
			watcher := startWatch(t, stores, metav1.ListOptions{FieldSelector: test.selector, ResourceVersion: "0"})
			var watched []string
			for range test.want {
				watched = append(watched, next(t, watcher, watch.Added).Name)
			}
			slices.Sort(watched)
			if !slices.Equal(watched, test.want) {
				t.Errorf("watch: got %v, want %v", watched, test.want)
			}
		})
	}
}

func TestUnsupportedFieldSelectorNamesTheSupported(t *testing.T) {
	t.Parallel()
	stores := platformClient(t, env.Admin()).Stores(newNamespace(t))
	options := metav1.ListOptions{FieldSelector: "spec.displayName=a"}
	_, listErr := stores.List(t.Context(), options)
	_, watchErr := stores.Watch(t.Context(), options)
	for verb, err := range map[string]error{"list": listErr, "watch": watchErr} {
		if !apierrors.IsBadRequest(err) {
			t.Errorf("%s: %v, want BadRequest", verb, err)
			continue
		}
		contains(t, err.Error(), v1alpha1.FieldEngine, v1alpha1.FieldPlan, v1alpha1.FieldOwner, v1alpha1.FieldReady)
	}
}

// An object that starts to match appears as added, one that ceases to as deleted.
func TestWatchFollowsSelectors(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	stores := platformClient(t, env.Admin()).Stores(namespace)
	list, err := stores.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := startWatch(t, stores, metav1.ListOptions{FieldSelector: "status.ready=True", ResourceVersion: list.ResourceVersion})
	small := startWatch(t, stores, metav1.ListOptions{FieldSelector: "spec.plan=small", ResourceVersion: list.ResourceVersion})
	gold := startWatch(t, stores, metav1.ListOptions{LabelSelector: "tier=gold", ResourceVersion: list.ResourceVersion})

	store := create(t, namespace, newStore("flowers", newEngine(t)))
	store = setReady(t, store, metav1.ConditionTrue)
	store.Spec.Plan, store.Labels = "large", map[string]string{"tier": "gold"}
	if store, err = stores.Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	store = setReady(t, store, metav1.ConditionFalse)
	store.Labels = nil
	if _, err = stores.Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, expected := range map[string]struct {
		watcher watch.Interface
		events  []watch.EventType
	}{
		"status.ready=True": {ready, []watch.EventType{watch.Added, watch.Modified, watch.Deleted}},
		"spec.plan=small":   {small, []watch.EventType{watch.Added, watch.Modified, watch.Deleted}},
		"tier=gold":         {gold, []watch.EventType{watch.Added, watch.Modified, watch.Deleted}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, event := range expected.events {
				next(t, expected.watcher, event)
			}
		})
	}
}

func names(list *v1alpha1.StoreList) []string {
	var names []string
	for _, store := range list.Items {
		names = append(names, store.Name)
	}
	slices.Sort(names)
	return names
}
