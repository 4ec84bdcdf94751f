package integration

import (
	"context"
	"errors"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"platform.dev/stores/examples/clients"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/provisioner/helm/fake"
	"platform.dev/stores/test/internal/harness"
)

// What the examples show works with the real server.
func TestClientExamples(t *testing.T) {
	t.Parallel()
	f := newFleet(t, &fake.Helm{})
	f.start(t, 1)
	client, err := versioned.NewForConfig(env.Admin())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[bool]int{} // by whether the store was ready
	lister, err := clients.Follow(t.Context(), client, f.namespace, func(s *v1alpha1.Store) {
		mu.Lock()
		defer mu.Unlock()
		seen[isReady(s)]++
	})
	if err != nil {
		t.Fatal(err)
	}

	store, err := clients.Create(t.Context(), client, f.namespace, f.namespace, f.engine.Name)
	if err != nil {
		t.Fatal(err)
	}
	if store.Spec.Version != "2.0" || store.Spec.Owner != "admin" {
		t.Errorf("the answer to the creation has version %q and owner %q", store.Spec.Version, store.Spec.Owner)
	}
	if store, err = clients.WaitUntilReady(t.Context(), client, f.namespace, store.Name); err != nil {
		t.Fatal(err)
	}
	if !isReady(store) || store.Status.URL == "" {
		t.Errorf("waited for, the store has the status %+v", store.Status)
	}

	if store, err = clients.Apply(t.Context(), client, f.namespace, store.Name, f.engine.Name, "Roses"); err != nil {
		t.Fatal(err)
	}
	if store.Generation != 2 {
		t.Errorf("the store has generation %d after a change, want 2", store.Generation)
	}
	if store, err = clients.WaitUntilReady(t.Context(), client, f.namespace, store.Name); err != nil || store.Status.ObservedGeneration != 2 {
		t.Errorf("waited for the change: %v, generation %d", err, store.Status.ObservedGeneration)
	}
	if store, err = clients.Undo(t.Context(), client, f.namespace, store.Name); err != nil || store.Spec.DisplayName != store.Name {
		t.Errorf("undone: %v, the title is %q", err, store.Spec.DisplayName)
	}
	assertReaders(t, f, store.Name)

	mu.Lock()
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("the informer has seen %d states of a store that was ready and %d of one that was not", seen[true], seen[false])
	}
	mu.Unlock()
	if all, err := lister.List(labels.Everything()); err != nil || len(all) != 1 {
		t.Errorf("the lister has %d stores (error %v), want one", len(all), err)
	}

	f.delete(t, store.Name)
	if _, err := clients.WaitUntilReady(t.Context(), client, f.namespace, store.Name); !errors.Is(err, clients.ErrGone) {
		t.Errorf("waiting for a store that is deleted: %v, want ErrGone", err)
	}
	if _, err := clients.Create(t.Context(), client, f.namespace, "Not a name", "none"); err == nil {
		t.Error("a store that cannot be was created")
	}
}

// assertReaders lists the only store of the fleet's engine from controller-runtime's
// cache, and from the server as its client does.
func assertReaders(t *testing.T, f *fleet, want string) {
	t.Helper()
	cached, err := clients.Cache(t.Context(), env.Admin(), f.namespace)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	live, err := client.New(env.Admin(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for name, reader := range map[string]client.Reader{"cache": cached, "server": live} {
		harness.Eventually(t, patience, "the "+name+" to know the store", func(ctx context.Context) (bool, error) {
			stores, err := clients.StoresOf(ctx, reader, f.engine.Name)
			return len(stores) == 1 && stores[0].Name == want, err
		})
		if stores, err := clients.StoresOf(t.Context(), reader, "another"); err != nil || len(stores) != 0 {
			t.Errorf("the %s has %d stores of another engine (error %v)", name, len(stores), err)
		}
	}
}
