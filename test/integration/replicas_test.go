package integration

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"platform.dev/stores/test/internal/harness"
)

// A second server on the same database shows at once what the first has written.
func TestReplicas(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	replica := env.StartServer(t, env.Database())
	first := harness.Platform(t, env.Admin()).Stores(namespace)
	second := harness.Platform(t, replica.As(env.Admin())).Stores(namespace)
	watcher := startWatch(t, second, metav1.ListOptions{})

	created := create(t, namespace, newStore("flowers", engine))
	if list, err := second.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Fatalf("the other replica lists %v right after the write: %v", list, err)
	}
	if seen := next(t, watcher, watch.Added); seen.UID != created.UID || seen.ResourceVersion != created.ResourceVersion {
		t.Errorf("the other replica's watch shows %s at %s, want %s at %s", seen.UID, seen.ResourceVersion, created.UID, created.ResourceVersion)
	}

	// Both write the same object: the stale one is told.
	created.Spec.DisplayName = "Second"
	if _, err := second.Update(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	next(t, watcher, watch.Modified)
	created.Spec.DisplayName = "First"
	if _, err := first.Update(t.Context(), created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("updating what the other replica has changed: %v, want Conflict", err)
	}
	if _, err := first.Create(t.Context(), newStore("flowers", engine), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("creating a taken name: %v, want AlreadyExists", err)
	}
}
