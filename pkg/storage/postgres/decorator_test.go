package postgres

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// newCached returns pods behind the watch cache, as the API server has them.
func newCached(t *testing.T, f *fixture) (storage.Interface, factory.DestroyFunc) {
	t.Helper()
	return newCachedWithKeys(t, f, storage.NamespaceKeyFunc)
}

func newCachedWithKeys(
	t *testing.T, f *fixture, key func(prefix string, obj runtime.Object) (string, error),
) (storage.Interface, factory.DestroyFunc) {
	t.Helper()
	config := storagebackend.NewDefaultConfig("", apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion))
	config.EventsHistoryWindow = storagebackend.DefaultEventsHistoryWindow
	s, destroy, err := f.db.Decorator(nil)(
		config.ForResource(schema.GroupResource{Resource: "pods"}),
		"/pods/",
		func(obj runtime.Object) (string, error) { return key("/pods/", obj) },
		f.resource.NewFunc, f.resource.NewListFunc,
		podAttributes, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	err = wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, eventTimeout, true,
		func(context.Context) (bool, error) { return s.ReadinessCheck() == nil, nil })
	if err != nil {
		t.Fatalf("the cache does not become ready: %v", err)
	}
	return s, destroy
}

func podAttributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod := obj.(*example.Pod)
	return pod.Labels, fields.Set{
		"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "spec.nodeName": pod.Spec.NodeName,
	}, nil
}

// TestCachedListIsConsistent writes through one replica and lists through the cache of
// another, which must not answer before it has caught up.
func TestCachedListIsConsistent(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	writer := newFixtureAt(t, dsn, withTransformer(nil))
	reader := newFixtureAt(t, dsn, withTransformer(nil))
	cached, _ := newCached(t, reader)
	reader.queries.lists.Store(0)
	for i := range 20 {
		name := string(rune('a' + i))
		createPod(t, writer.Storage, name)
		list := listPods(t, cached, storage.ListOptions{})
		if len(list.Items) != i+1 {
			t.Fatalf("listed %d objects, want %d", len(list.Items), i+1)
		}
	}
	if got := reader.queries.lists.Load(); got != 0 {
		t.Errorf("%d lists went to the database, want all from the cache", got)
	}
}

func TestCachedExactList(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withTransformer(nil))
	first := createPod(t, f.Storage, "first")
	createPod(t, f.Storage, "second")
	cached, _ := newCached(t, f)
	list := listPods(t, cached, storage.ListOptions{
		ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	})
	if len(list.Items) != 1 || list.ResourceVersion != first.ResourceVersion {
		t.Errorf("listed %d objects at %s, want 1 at %s", len(list.Items), list.ResourceVersion, first.ResourceVersion)
	}
}

func TestDestroyTwiceKeepsDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, destroy := newCached(t, f)
	destroy()
	destroy()
	createPod(t, f.Storage, "after")
}
