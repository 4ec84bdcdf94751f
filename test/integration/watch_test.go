package integration

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/transport"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/informers/externalversions"
)

func TestWatchFromResourceVersion(t *testing.T) {
	t.Parallel()
	namespace, engine := newNamespace(t), newEngine(t)
	stores := platformClient(t, env.Admin()).Stores(namespace)
	create(t, namespace, newStore("before", engine))
	list, err := stores.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// What happens between list and watch is in the watch.
	between := create(t, namespace, newStore("between", engine))
	watcher := startWatch(t, stores, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if got := next(t, watcher, watch.Added); got.Name != "between" || got.ResourceVersion != between.ResourceVersion {
		t.Errorf("first event is of %s at %s, want between at %s", got.Name, got.ResourceVersion, between.ResourceVersion)
	}
	between = setReady(t, between, metav1.ConditionTrue)
	next(t, watcher, watch.Modified)
	between.Finalizers = nil
	if _, err := stores.Update(t.Context(), between, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	next(t, watcher, watch.Modified)
	if err := stores.Delete(t.Context(), "between", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := next(t, watcher, watch.Deleted)
	if revision(t, deleted.ResourceVersion) <= revision(t, between.ResourceVersion) {
		t.Errorf("the deletion is at %s, not after %s", deleted.ResourceVersion, between.ResourceVersion)
	}
}

func TestWatchSendsBookmarks(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	stores := platformClient(t, env.Admin()).Stores(namespace)
	created := create(t, namespace, newStore("flowers", newEngine(t)))
	// A bookmark comes two seconds before the end, unless the server had no time for it
	// just then: it is tried for, not promised. Another watch has another chance.
	seconds := int64(4)
	var watcher watch.Interface
	eventually(t, "a bookmark", func(context.Context) (bool, error) {
		watcher = startWatch(t, stores, metav1.ListOptions{
			ResourceVersion: created.ResourceVersion, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
		})
		event, open := <-watcher.ResultChan()
		if !open {
			return false, nil
		}
		bookmark, ok := event.Object.(*v1alpha1.Store)
		if event.Type != watch.Bookmark || !ok {
			return false, fmt.Errorf("got %s of %v", event.Type, event.Object)
		}
		if revision(t, bookmark.ResourceVersion) < revision(t, created.ResourceVersion) {
			t.Errorf("the bookmark is at %s, before %s", bookmark.ResourceVersion, created.ResourceVersion)
		}
		return true, nil
	})
	eventually(t, "the watch to end at its timeout", func(context.Context) (bool, error) {
		event, open := <-watcher.ResultChan()
		if open && event.Type != watch.Bookmark {
			return false, fmt.Errorf("got %s of %v", event.Type, event.Object)
		}
		return !open, nil
	})
}

func TestWatchStreamsTheList(t *testing.T) {
	t.Parallel()
	namespace, engine := newNamespace(t), newEngine(t)
	create(t, namespace, newStore("a", engine))
	create(t, namespace, newStore("b", engine))
	yes := true
	watcher := startWatch(t, platformClient(t, env.Admin()).Stores(namespace), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	next(t, watcher, watch.Added)
	next(t, watcher, watch.Added)
	bookmark := next(t, watcher, watch.Bookmark)
	if bookmark.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("the bookmark after the list has annotations %v", bookmark.Annotations)
	}
}

// Informers read the list as a stream, without a list request.
func TestInformer(t *testing.T) {
	t.Parallel()
	namespace, engine := newNamespace(t), newEngine(t)
	create(t, namespace, newStore("before", engine))

	requests := &recorder{}
	config := env.Admin()
	config.Wrap(requests.wrap)
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	factory := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithNamespace(namespace))
	informer := factory.Platform().V1alpha1().Stores()
	lister := informer.Lister().Stores(namespace)
	synced := informer.Informer().HasSynced
	factory.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), synced) {
		t.Fatal("the informer did not sync")
	}
	if _, err := lister.Get("before"); err != nil {
		t.Errorf("after the informer synced: %v", err)
	}
	create(t, namespace, newStore("after", engine))
	eventually(t, "the informer to see the new store", func(context.Context) (bool, error) {
		found, err := lister.List(labels.Everything())
		return len(found) == 2, err
	})
	for _, query := range requests.queries() {
		if query.Get("watch") != "true" || query.Get("sendInitialEvents") != "true" {
			t.Errorf("the informer asked %v, want a streaming watch", query)
		}
	}
}

func TestListInPages(t *testing.T) {
	t.Parallel()
	namespace, engine := newNamespace(t), newEngine(t)
	stores := platformClient(t, env.Admin()).Stores(namespace)
	var want []string
	for i := range 7 {
		want = append(want, create(t, namespace, newStore(fmt.Sprintf("store-%d", i), engine)).Name)
	}
	var got []string
	options := metav1.ListOptions{Limit: 3}
	var version string
	for page := 0; ; page++ {
		list, err := stores.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if page == 0 {
			version = list.ResourceVersion
			if list.RemainingItemCount == nil || *list.RemainingItemCount != 4 {
				t.Errorf("remainingItemCount is %v, want 4", list.RemainingItemCount)
			}
			// Pages show the collection as it was at the first of them.
			create(t, namespace, newStore("store-5b", engine))
		}
		if list.ResourceVersion != version {
			t.Errorf("page %d is at %s, the first at %s", page, list.ResourceVersion, version)
		}
		got = append(got, names(list)...)
		if options.Continue = list.Continue; list.Continue == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := stores.List(t.Context(), metav1.ListOptions{Limit: 3, Continue: "forged"}); !apierrors.IsBadRequest(err) {
		t.Errorf("continuing from a forged token: %v, want BadRequest", err)
	}
}

// startWatch watches until the test ends.
func startWatch(t testing.TB, stores typed.StoreInterface, options metav1.ListOptions) watch.Interface {
	t.Helper()
	watcher, err := stores.Watch(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	return watcher
}

// next returns the object of the next event, which must be of the type.
func next(t testing.TB, watcher watch.Interface, want watch.EventType) *v1alpha1.Store {
	t.Helper()
	select {
	case event, open := <-watcher.ResultChan():
		if !open {
			t.Fatalf("the watch ended, want %s", want)
		}
		store, ok := event.Object.(*v1alpha1.Store)
		if event.Type != want || !ok {
			t.Fatalf("got %s of %v, want %s", event.Type, event.Object, want)
		}
		return store
	case <-time.After(patience):
		t.Fatalf("no event within %s, want %s", patience, want)
	}
	return nil
}

func revision(t testing.TB, resourceVersion string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// recorder keeps the queries of all requests.
type recorder struct {
	mu   sync.Mutex
	seen []url.Values
}

func (r *recorder) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		r.mu.Lock()
		r.seen = append(r.seen, request.URL.Query())
		r.mu.Unlock()
		return next.RoundTrip(request)
	})
}

func (r *recorder) queries() []url.Values {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

var _ transport.WrapperFunc = (&recorder{}).wrap
