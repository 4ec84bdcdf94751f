package integration

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/transport"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/informers/externalversions"
	"platform.dev/stores/test/internal/harness"
)

// Informers read the list as a stream, without a list request.
func TestInformer(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
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
	harness.Eventually(t, patience, "the informer to see the new store", func(context.Context) (bool, error) {
		found, err := lister.List(labels.Everything())
		return len(found) == 2, err
	})
	for _, query := range requests.queries() {
		if query.Get("watch") != "true" || query.Get("sendInitialEvents") != "true" {
			t.Errorf("the informer asked %v, want a streaming watch", query)
		}
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
