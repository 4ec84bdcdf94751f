package postgres

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	EnableWatchProgress()
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

// transformPrefix is what the test transformer puts before every stored value.
const transformPrefix = "test!"

// fixture is a storage of pods in a schema of its own.
type fixture struct {
	*Storage
	dsn     string
	queries *listCounter
}

type fixtureOption func(*Resource)

func withCodec(codec runtime.Codec) fixtureOption {
	return func(r *Resource) { r.Codec = codec }
}

func withTransformer(transformer value.Transformer) fixtureOption {
	return func(r *Resource) { r.Transformer = transformer }
}

func newFixture(t testing.TB, options ...fixtureOption) *fixture {
	t.Helper()
	return newFixtureAt(t, postgrestest.New(t), options...)
}

func newFixtureAt(t testing.TB, dsn string, options ...fixtureOption) *fixture {
	t.Helper()
	queries := &listCounter{}
	db, err := Open(t.Context(), Config{ConnString: dsn, MaxConns: 4, ProgressInterval: time.Second, Tracer: queries})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &fixture{Storage: newPodStorage(t, db, options...), dsn: dsn, queries: queries}
}

func newPodStorage(t testing.TB, db *Database, options ...fixtureOption) *Storage {
	t.Helper()
	resource := Resource{
		GroupResource: schema.GroupResource{Resource: "pods"},
		Prefix:        "/pods",
		Codec:         apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion),
		Transformer:   storagetesting.NewPrefixTransformer([]byte(transformPrefix), false),
		NewFunc:       func() runtime.Object { return &example.Pod{} },
		NewListFunc:   func() runtime.Object { return &example.PodList{} },
	}
	for _, option := range options {
		option(&resource)
	}
	s, err := db.newStorage(resource)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listCounter counts the queries that read lists, and those that count objects.
type listCounter struct{ lists, stats atomic.Uint64 }

func (c *listCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	switch data.SQL {
	case listQuery, listAtQuery:
		c.lists.Add(1)
	case statsQuery:
		c.stats.Add(1)
	}
	return ctx
}

func (c *listCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// UpdatePrefixTransformer implements storagetesting.InterfaceWithPrefixTransformer.
func (f *fixture) UpdatePrefixTransformer(modify storagetesting.PrefixTransformerModifier) func() {
	original := f.transformer.(*storagetesting.PrefixTransformer)
	changed := storagetesting.NewPrefixTransformer([]byte(transformPrefix), false)
	f.transformer = modify(changed)
	return func() { f.transformer = original }
}

// increaseRevision makes one write outside the resource.
func (f *fixture) increaseRevision(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	found, _, err := f.db.get(ctx, "/increase")
	if err != nil {
		t.Fatal(err)
	}
	w := &write{kind: created, key: "/increase", value: []byte("x")}
	if found != nil {
		w.kind, w.expect = updated, found.rev
	}
	rev, err := f.write(ctx, w, nil)
	if err != nil || rev == 0 {
		t.Fatalf("increasing the revision: revision %d, error %v", rev, err)
	}
	return rev
}

// compact stops serving revisions below one, and writes once more, as etcd's compactor
// does.
func (f *fixture) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	t.Helper()
	rev, err := f.versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.db.Compact(ctx, int64(rev)); err != nil {
		t.Fatal(err)
	}
	f.increaseRevision(ctx, t)
}

// checkStored fails unless the value under key decodes and carries no resource version,
// which belongs to the row.
func (f *fixture) checkStored(ctx context.Context, t *testing.T, key string) {
	t.Helper()
	found, _, err := f.db.get(ctx, key)
	if err != nil || found == nil {
		t.Fatalf("reading %s: %v, error %v", key, found, err)
	}
	encoded, ok := strings.CutPrefix(string(found.value), transformPrefix)
	if !ok {
		t.Fatalf("the value was not transformed: %q", found.value)
	}
	obj, err := runtime.Decode(f.resource.Codec, []byte(encoded))
	if err != nil {
		t.Fatal(err)
	}
	if pod := obj.(*example.Pod); pod.ResourceVersion != "" {
		t.Errorf("stored with resource version %q", pod.ResourceVersion)
	}
}

// checkCalls fails unless a list decoded the given number of objects with no more
// queries than doubling the page size needs.
func (f *fixture) checkCalls(t *testing.T, pageSize, objects uint64) {
	t.Helper()
	if got := f.transformer.(*storagetesting.PrefixTransformer).GetReadsAndReset(); got != objects {
		t.Errorf("decoded %d objects, want %d", got, objects)
	}
	want := uint64(1)
	if pageSize != 0 {
		for size, sum := pageSize, uint64(1); sum < objects; want++ {
			size = min(2*size, maxPage)
			sum += size
		}
	}
	if got := f.queries.lists.Swap(0); got != want {
		t.Errorf("made %d list queries, want %d", got, want)
	}
}
