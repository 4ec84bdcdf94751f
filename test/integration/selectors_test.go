package integration

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func TestFieldSelectors(t *testing.T) {
	t.Parallel()
	namespace, engine, other := env.NewNamespace(t), newEngine(t), newEngine(t)
	env.Allow(t, "alice", namespace, "platform-stores-edit")
	create(t, namespace, newStore("small", engine))
	large := newStore("large", engine)
	large.Spec.Plan = "large"
	create(t, namespace, large)
	setReady(t, create(t, namespace, newStore("sells", other)), metav1.ConditionTrue)
	harness.Eventually(t, patience, "the user's rights", untilAllowed(func() error {
		_, err := harness.Platform(t, env.User("alice")).Stores(namespace).Create(t.Context(), newStore("alices", other), metav1.CreateOptions{})
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
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
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

// Whatever the selector, and whether of one namespace or of all, list and watch
// show the same stores, and each as get does.
func TestNeverAgain07GetListAndWatchAgree(t *testing.T) {
	t.Parallel()
	engine, other := newEngine(t), newEngine(t)
	namespaces := []string{env.NewNamespace(t), env.NewNamespace(t)}
	for _, namespace := range namespaces {
		for i, name := range []string{"a", "b", "c"} {
			store := newStore(name, []*v1alpha1.Engine{engine, engine, other}[i])
			store.Spec.Host = name + "." + namespace + ".example.com"
			store.Labels = map[string]string{"test": engine.Name, "tier": []string{"gold", "iron", "gold"}[i]}
			create(t, namespace, store)
		}
	}
	ours := "test=" + engine.Name
	for _, test := range []struct {
		options metav1.ListOptions
		want    []string // in each namespace
	}{
		{metav1.ListOptions{LabelSelector: ours}, []string{"a", "b", "c"}},
		{metav1.ListOptions{LabelSelector: ours + ",tier=gold"}, []string{"a", "c"}},
		{metav1.ListOptions{LabelSelector: ours + ",tier notin (gold)"}, []string{"b"}},
		{metav1.ListOptions{LabelSelector: ours, FieldSelector: "metadata.name=b"}, []string{"b"}},
		{metav1.ListOptions{FieldSelector: "spec.engine=" + engine.Name}, []string{"a", "b"}},
		{metav1.ListOptions{LabelSelector: "tier=gold", FieldSelector: "spec.engine=" + engine.Name}, []string{"a"}},
		{metav1.ListOptions{LabelSelector: ours, FieldSelector: "status.ready=True"}, nil},
	} {
		for _, scope := range []string{metav1.NamespaceAll, namespaces[0]} {
			t.Run(test.options.LabelSelector+" "+test.options.FieldSelector+" in "+scope, func(t *testing.T) {
				t.Parallel()
				client := harness.Platform(t, env.Admin())
				want := map[string]*v1alpha1.Store{}
				for _, namespace := range namespaces {
					for _, name := range test.want {
						store, err := client.Stores(namespace).Get(t.Context(), name, metav1.GetOptions{})
						if err != nil {
							t.Fatal(err)
						}
						if scope == metav1.NamespaceAll || scope == namespace {
							want[namespace+"/"+name] = store
						}
					}
				}
				for how, version := range map[string]string{"consistent": "", "from cache": "0"} {
					options := test.options
					options.ResourceVersion = version
					list, err := client.Stores(scope).List(t.Context(), options)
					if err != nil {
						t.Fatal(err)
					}
					listed := map[string]*v1alpha1.Store{}
					for i, store := range list.Items {
						listed[store.Namespace+"/"+store.Name] = &list.Items[i]
					}
					if diff := cmp.Diff(want, listed); diff != "" {
						t.Errorf("list, %s (-get +list):\n%s", how, diff)
					}
				}
				if diff := cmp.Diff(want, watched(t, client.Stores(scope), test.options)); diff != "" {
					t.Errorf("watch (-get +watch):\n%s", diff)
				}
			})
		}
	}
}

// watched returns all that a watch begins with.
func watched(t *testing.T, stores typed.StoreInterface, options metav1.ListOptions) map[string]*v1alpha1.Store {
	t.Helper()
	yes := true
	options.SendInitialEvents, options.AllowWatchBookmarks = &yes, true
	options.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	watcher := startWatch(t, stores, options)
	found := map[string]*v1alpha1.Store{}
	for {
		select {
		case event, open := <-watcher.ResultChan():
			store, ok := event.Object.(*v1alpha1.Store)
			if !open || !ok {
				t.Fatalf("got %v", event)
			}
			if event.Type == watch.Bookmark {
				return found
			}
			found[store.Namespace+"/"+store.Name] = store
		case <-time.After(patience):
			t.Fatal("the watch never came to the end of what there was")
		}
	}
}

// An object that starts to match appears as added, one that ceases to as deleted.
func TestWatchFollowsSelectors(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
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
