package postgres

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestProgressComesAtOnce asks for progress: the answer must not wait for the interval.
func TestProgressComesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.db.config.ProgressInterval = time.Hour
	start := createPod(t, f.Storage, "pod")
	w, err := f.Watch(t.Context(), "/pods", storage.ListOptions{
		ResourceVersion: start.ResourceVersion, Recursive: true, Predicate: storage.Everything, ProgressNotify: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	outside := f.increaseRevision(t.Context(), t)

	current, err := f.GetCurrentResourceVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if int64(current) != outside {
		t.Errorf("current revision %d, want %d", current, outside)
	}
	if got := revisionOf(t, nextPod(t, w, watch.Bookmark)); got != outside {
		t.Errorf("told of revision %d, want %d", got, outside)
	}
	if err := f.RequestWatchProgress(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := revisionOf(t, nextPod(t, w, watch.Bookmark)); got != outside {
		t.Errorf("told of revision %d when asked again, want %d", got, outside)
	}
}

// TestSelectorChangesMeaning watches through a selector that an object starts and stops
// to match, from memory and from the log.
func TestSelectorChangesMeaning(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	start := createPod(t, f.Storage, "pod")
	label := func(value string) {
		t.Helper()
		err := f.GuaranteedUpdate(t.Context(), podKey("pod"), &example.Pod{}, false, nil, storage.SimpleUpdate(
			func(obj runtime.Object) (runtime.Object, error) {
				obj.(*example.Pod).Labels = map[string]string{"tier": value}
				return obj, nil
			}), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, value := range []string{"web", "web2", "db"} {
		label(value)
	}
	fresh := newFixtureAt(t, f.dsn) // has none of this in memory
	for name, s := range map[string]*Storage{"memory": f.Storage, "log": fresh.Storage} {
		w, err := s.Watch(t.Context(), "/pods", storage.ListOptions{
			ResourceVersion: start.ResourceVersion, Recursive: true,
			Predicate: storage.SelectionPredicate{
				Label: mustParse(t, "tier in (web, web2)"), Field: fields.Everything(), GetAttrs: podAttributes,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
			if got := nextEvent(t, w); got.Type != want {
				t.Errorf("from %s: event %s, want %s", name, got.Type, want)
			}
		}
	}
}

func mustParse(t *testing.T, selector string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCloseEndsWatches keeps clients from waiting for a server that is going away.
func TestCloseEndsWatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := watchPods(t, f.Storage, createPod(t, f.Storage, "pod").ResourceVersion)
	f.db.Close()
	select {
	case event, open := <-w.ResultChan():
		if open {
			t.Errorf("event %v, want the end", event)
		}
	case <-time.After(eventTimeout):
		t.Error("the watch goes on")
	}
}

// TestConcurrentDecoding has a watch catch up, whose codec waits for another decoding to
// be under way or, without the feature, fails if there is one.
func TestConcurrentDecoding(t *testing.T) {
	for _, concurrent := range []bool{true, false} {
		t.Run(fmt.Sprintf("ConcurrentWatchObjectDecode=%t", concurrent), func(t *testing.T) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ConcurrentWatchObjectDecode, concurrent)
			dsn := postgrestest.New(t)
			writer := newFixtureAt(t, dsn)
			start := listPods(t, writer.Storage, storage.ListOptions{}).ResourceVersion
			var want []string
			for i := range 2 * concurrentEvents {
				want = append(want, createPod(t, writer.Storage, fmt.Sprintf("pod-%02d", i)).Name)
			}

			codec := &meetingCodec{Codec: writer.resource.Codec, met: make(chan struct{})}
			reader := newFixtureAt(t, dsn, withCodec(codec))
			codec.wait = concurrent
			w := watchPods(t, reader.Storage, start)
			var got []string
			for range want {
				got = append(got, nextPod(t, w, watch.Added).Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("created %v, saw %v", want, got)
			}
			if met := codec.most.Load() > 1; met != concurrent {
				t.Errorf("%d objects decoded at a time", codec.most.Load())
			}
		})
	}
}

// meetingCodec notes how many objects it decodes at a time, and may wait for the second.
type meetingCodec struct {
	runtime.Codec
	wait      bool
	now, most atomic.Int64
	once      sync.Once
	met       chan struct{}
}

func (c *meetingCodec) Decode(
	data []byte, defaults *schema.GroupVersionKind, into runtime.Object,
) (runtime.Object, *schema.GroupVersionKind, error) {
	now := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	if now > 1 {
		c.once.Do(func() { close(c.met) })
	}
	if c.wait {
		<-c.met
	}
	return c.Codec.Decode(data, defaults, into)
}
