package watchcache_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"

	"platform.dev/stores/pkg/storage/postgres"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/pkg/storage/postgres/watchcache"
)

func TestMain(m *testing.M) {
	postgres.EnableWatchProgress()
	os.Exit(postgrestest.Main(m))
}

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

// replica is one process with pods behind its watch cache.
type replica struct {
	storage.Interface
	destroy factory.DestroyFunc
	reads   *valueReads
}

func newReplica(t *testing.T, dsn string) *replica {
	t.Helper()
	r := &replica{reads: &valueReads{}}
	db, err := postgres.Open(t.Context(), postgres.Config{ConnString: dsn, MaxConns: 4, Tracer: r.reads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	config := storagebackend.NewDefaultConfig("", apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion))
	config.EventsHistoryWindow = storagebackend.DefaultEventsHistoryWindow
	r.Interface, r.destroy, err = watchcache.Decorator(db, nil)(
		config.ForResource(schema.GroupResource{Resource: "pods"}),
		"/pods/",
		func(obj runtime.Object) (string, error) { return storage.NamespaceKeyFunc("/pods/", obj) },
		func() runtime.Object { return &example.Pod{} },
		func() runtime.Object { return &example.PodList{} },
		func(obj runtime.Object) (labels.Set, fields.Set, error) {
			return obj.(*example.Pod).Labels, fields.Set{"metadata.name": obj.(*example.Pod).Name}, nil
		},
		nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.destroy)
	err = wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, wait.ForeverTestTimeout, true,
		func(context.Context) (bool, error) { return r.ReadinessCheck() == nil, nil })
	if err != nil {
		t.Fatalf("the cache does not become ready: %v", err)
	}
	return r
}

// valueReads counts the queries that read values by the keys that have them: gets and
// lists. Those of a watch read the log alone.
type valueReads struct{ count atomic.Int64 }

func (r *valueReads) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "head") && strings.Contains(data.SQL, "value") {
		r.count.Add(1)
	}
	return ctx
}

func (r *valueReads) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *replica) create(t *testing.T, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"app": name}}}
	if err := r.Create(t.Context(), "/pods/ns/"+name, pod, out, 0); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
	return out
}

func (r *replica) list(t *testing.T, opts storage.ListOptions) *example.PodList {
	t.Helper()
	opts.Recursive, opts.Predicate = true, storage.Everything
	out := &example.PodList{}
	if err := r.GetList(t.Context(), "/pods", opts, out); err != nil {
		t.Fatalf("listing: %v", err)
	}
	return out
}

// TestListIsConsistent writes through one replica and lists through the cache of
// another, which must not answer before it has caught up.
func TestListIsConsistent(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	writer, reader := newReplica(t, dsn), newReplica(t, dsn)
	if reader.reads.count.Swap(0) == 0 {
		t.Fatal("the list that fills the cache was not counted")
	}
	for i := range 20 {
		writer.create(t, string(rune('a'+i)))
		if list := reader.list(t, storage.ListOptions{}); len(list.Items) != i+1 {
			t.Fatalf("listed %d objects, want %d", len(list.Items), i+1)
		}
	}
	if got := reader.reads.count.Load(); got != 0 {
		t.Errorf("%d lists went to the database, want all from the cache", got)
	}
}

// TestGetIsNeverStale has several clients write through one replica and read through
// the cache of another at once, all on objects of their own.
func TestGetIsNeverStale(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	replicas := []*replica{newReplica(t, dsn), newReplica(t, dsn)}
	const clients, rounds = 8, 25
	var all sync.WaitGroup
	for client := range clients {
		writer, reader := replicas[client%2], replicas[(client+1)%2]
		all.Go(func() {
			for round := range rounds {
				if err := checkLife(t.Context(), writer, reader, fmt.Sprintf("pod-%d-%d", client, round)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// checkLife creates, updates and deletes a pod and reads it elsewhere after each.
func checkLife(ctx context.Context, writer, reader *replica, name string) error {
	key, read := "/pods/ns/"+name, &example.Pod{}
	pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	if err := writer.Create(ctx, key, pod, nil, 0); err != nil {
		return err
	}
	if err := reader.Get(ctx, key, storage.GetOptions{}, read); err != nil {
		return fmt.Errorf("after its creation: %w", err)
	}
	read.Labels = map[string]string{"changed": "what is ours alone"}
	written := &example.Pod{}
	err := writer.GuaranteedUpdate(ctx, key, written, false, nil, storage.SimpleUpdate(
		func(obj runtime.Object) (runtime.Object, error) {
			obj.(*example.Pod).Annotations = map[string]string{"step": "two"}
			return obj, nil
		}), nil)
	if err != nil {
		return err
	}
	read = &example.Pod{}
	if err := reader.Get(ctx, key, storage.GetOptions{}, read); err != nil {
		return fmt.Errorf("after its update: %w", err)
	}
	if diff := cmp.Diff(written, read); diff != "" {
		return fmt.Errorf("read something else than was written (-want +got):\n%s", diff)
	}
	if err := writer.Delete(ctx, key, &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		return err
	}
	if err := reader.Get(ctx, key, storage.GetOptions{}, read); !storage.IsNotFound(err) {
		return fmt.Errorf("after its deletion: error %w, want not found", err)
	}
	return nil
}

func TestGetComesFromTheCache(t *testing.T) {
	t.Parallel()
	r := newReplica(t, postgrestest.New(t))
	r.create(t, "pod")
	r.reads.count.Store(0)
	get := func() *example.Pod {
		t.Helper()
		out := &example.Pod{}
		if err := r.Get(t.Context(), "/pods/ns/pod", storage.GetOptions{}, out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	get().Labels["changed"] = "by one reader"
	if value, found := get().Labels["changed"]; found {
		t.Errorf("another reader finds a label changed %s", value)
	}
	if got := r.reads.count.Load(); got != 0 {
		t.Errorf("%d gets went to the database, want all from the cache", got)
	}
}

func TestExactList(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	writer := newReplica(t, dsn)
	first := writer.create(t, "first")
	writer.create(t, "second")
	list := newReplica(t, dsn).list(t, storage.ListOptions{
		ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	})
	if len(list.Items) != 1 || list.ResourceVersion != first.ResourceVersion {
		t.Errorf("listed %d objects at %s, want 1 at %s", len(list.Items), list.ResourceVersion, first.ResourceVersion)
	}
}

func TestDestroyTwiceKeepsDatabase(t *testing.T) {
	t.Parallel()
	r := newReplica(t, postgrestest.New(t))
	r.destroy()
	r.destroy()
	r.create(t, "after")
}
