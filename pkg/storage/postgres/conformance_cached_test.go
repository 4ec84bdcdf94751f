package postgres

import (
	"context"
	"strconv"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// The tests by which the API server checks its watch cache, with a Storage below.

func TestCachedConformance(t *testing.T) {
	for _, test := range append(plainTests(), cachedTests()...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _ := newCached(t, newFixture(t))
			test.run(context.Background(), t, &settledCreates{s})
		})
	}
}

func TestCachedConformanceSerial(t *testing.T) {
	for _, test := range serialTests() {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newCached(t, newFixture(t))
			test.run(context.Background(), t, &settledCreates{s})
		})
	}
}

// cachedTests expect what only the cache does.
func cachedTests() []plainTest {
	return []plainTest{
		{"WatchDispatchBookmarkEvents", func(ctx context.Context, t *testing.T, s storage.Interface) {
			storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, s, true)
		}},
		{"OptionalWatchBookmarksWithCorrectResourceVersion",
			storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion},
	}
}

// TestCachedConformanceSpecial are the tests that need a cache of their own making, or to
// move the revision below it.
func TestCachedConformanceSpecial(t *testing.T) {
	for _, test := range []conformanceTest{
		{"ConsistentList", func(ctx context.Context, t *testing.T, f *fixture) {
			s, _ := newCached(t, f)
			storagetesting.RunTestConsistentList(ctx, t, s, f.increaseRevision, true, true, true)
		}},
		{"GetListNonRecursive", func(ctx context.Context, t *testing.T, f *fixture) {
			s, _ := newCached(t, f)
			storagetesting.RunTestGetListNonRecursive(ctx, t, f.increaseRevision, s)
		}},
		{"CompactRevision", func(ctx context.Context, t *testing.T, f *fixture) {
			s, _ := newCached(t, f)
			storagetesting.RunTestCompactRevision(ctx, t, s, f.increaseRevision, f.compactSeenBy(s))
		}},
		{"KeySchema", func(ctx context.Context, t *testing.T, f *fixture) {
			s, _ := newCached(t, f)
			storagetesting.RunTestKeySchema(ctx, t, s)
		}},
		{"ClusterScopedWatch", func(ctx context.Context, t *testing.T, f *fixture) {
			s, _ := newCachedWithKeys(t, f, storage.NoNamespaceKeyFunc)
			storagetesting.RunTestClusterScopedWatch(ctx, t, s)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(context.Background(), t, newFixture(t))
		})
	}
}

// compactSeenBy compacts and waits until a cache has noticed, which takes it up to 15
// seconds.
func (f *fixture) compactSeenBy(cached storage.Interface) storagetesting.Compaction {
	return func(ctx context.Context, t *testing.T, resourceVersion string) {
		t.Helper()
		f.compact(ctx, t, resourceVersion)
		rev, err := f.versioner.ParseResourceVersion(resourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		old := storage.ListOptions{
			Recursive: true, Predicate: storage.Everything,
			ResourceVersion:      strconv.FormatUint(rev-1, 10),
			ResourceVersionMatch: metav1.ResourceVersionMatchExact,
		}
		err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, eventTimeout, true, func(ctx context.Context) (bool, error) {
			err := cached.GetList(ctx, "/pods", old, &example.PodList{})
			return apierrors.IsResourceExpired(err), nil
		})
		if err != nil {
			t.Fatalf("the cache still lists revision %s: %v", old.ResourceVersion, err)
		}
	}
}

// settledCreates returns from Create when the cache has the object, which some tests
// expect of any storage.
type settledCreates struct{ storage.Interface }

func (s *settledCreates) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := s.Interface.Create(ctx, key, obj, out, ttl); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, time.Millisecond, eventTimeout, true, func(ctx context.Context) (bool, error) {
		err := s.Get(ctx, key, storage.GetOptions{ResourceVersion: "0"}, &example.Pod{})
		return err == nil, nil
	})
}
