package integration

import (
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A second server on the same database shows at once what the first has written.
func TestReplicas(t *testing.T) {
	t.Parallel()
	namespace, engine := newNamespace(t), newEngine(t)
	replica := env.StartServer(t, env.Database())
	first := platformClient(t, env.Admin()).Stores(namespace)
	second := platformClient(t, replica.As(env.Admin())).Stores(namespace)
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

// A server does not serve what happened before it read the database: clients are
// told to list again.
func TestWatchFromTooOldRevision(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	create(t, namespace, newStore("flowers", newEngine(t)))
	replica := env.StartServer(t, env.Database())
	stores := platformClient(t, replica.As(env.Admin())).Stores(namespace)
	watcher, err := stores.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1"})
	if err == nil {
		defer watcher.Stop()
		select {
		case event := <-watcher.ResultChan():
			err = apierrors.FromObject(event.Object)
		case <-time.After(patience):
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("watching from revision 1: %v, want Expired", err)
	}
}

// A future revision is waited for, and then refused with the hint to try again.
func TestListAtFutureRevision(t *testing.T) {
	t.Parallel()
	path := "/apis/platform.dev/v1alpha1/stores?resourceVersionMatch=NotOlderThan&resourceVersion=1000000000"
	status, body := send(t, env.Admin(), http.MethodGet, path, nil)
	if status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", status)
	}
	contains(t, body, string(metav1.CauseTypeResourceVersionTooLarge), "retryAfterSeconds")
}
