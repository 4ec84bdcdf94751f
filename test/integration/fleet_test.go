package integration

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	platforminformers "platform.dev/stores/pkg/generated/informers/externalversions"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/pkg/provisioner/helm"
	"platform.dev/stores/pkg/provisioner/multiplex"
	"platform.dev/stores/test/internal/harness"
)

// fixture is the chart of the engines made here. Nothing in it has to run, but for a
// Deployment that never does in the stores with the dark theme: there is no kubelet.
var fixture = fstest.MapFS{
	"fixture/Chart.yaml": {Data: []byte("apiVersion: v2\nname: fixture\nversion: 1.2.3\n")},
	"fixture/templates/shop.yaml": {Data: []byte(`
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80}]}
{{- if eq (toString .Values.theme) "dark" }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: nowhere.invalid/shop}]}
{{- end }}
`)},
}

// fleet is a namespace with stores that controllers of the test work on, with all
// that is real but for what the stores are made of.
type fleet struct {
	namespace string
	engine    *v1alpha1.Engine
	stores    typed.StoreInterface
	config    provisioner.Config
	shares    *worktimes
}

// newFleet returns a fleet whose stores' owner is not limited.
func newFleet(t *testing.T, helmActions helm.Interface) *fleet {
	t.Helper()
	namespace := env.NewNamespace(t)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(shop.Close)
	f := &fleet{namespace: namespace, engine: newEngine(t), stores: newOwner(t, namespace), shares: &worktimes{}}

	config := env.Admin()
	config.QPS = -1
	stores, err := versioned.NewForConfig(within(namespace, config))
	if err != nil {
		t.Fatal(err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	streams, err := multiplex.ClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if helmActions == nil {
		if helmActions, err = helm.NewSDK(config); err != nil {
			t.Fatal(err)
		}
	}
	f.config = provisioner.Config{
		Stores: stores, Kube: harness.Core(t, config), Metadata: metadataClient, Dynamic: dynamicClient, Streams: streams,
		Helm: helmActions, Charts: chart.NewCharts(fixture), Shares: f.shares,
		Identity:      provisioner.Identity{Namespace: "stores-system", ServiceAccount: "provisioner", ClusterRole: "cluster-admin"},
		Platform:      engine.Platform{Scheme: "http"},
		StorefrontURL: func(string, string, int32) string { return shop.URL },
	}
	removeNamespaces(t, f.config)
	return f
}

// newOwner returns the stores of a user who may make as many as they like.
func newOwner(t *testing.T, namespace string) typed.StoreInterface {
	t.Helper()
	user := newUser(t, namespace)
	newQuota(t, v1alpha1.StoreQuotaSpec{
		Subjects: subject(v1alpha1.QuotaSubjectUser, user), Hard: hard(1000),
		CreateRate: &v1alpha1.CreateRate{Count: 1000, WindowSeconds: 1},
	})
	return as(t, user, namespace)
}

// within is a client's configuration that sees the stores of one namespace only, as
// if there were no others.
func within(namespace string, config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/apis/platform.dev/v1alpha1/stores" {
				r = r.Clone(r.Context())
				query := r.URL.Query()
				query.Set("fieldSelector", "metadata.namespace="+namespace)
				r.URL.RawQuery = query.Encode()
			}
			return next.RoundTrip(r)
		})
	})
	return config
}

// removeNamespaces lets deleted namespaces of stores go, as the cluster's own
// controllers do, which are not here.
func removeNamespaces(t *testing.T, config provisioner.Config) {
	t.Helper()
	factory := informers.NewSharedInformerFactoryWithOptions(config.Kube, 0, informers.WithTweakListOptions(
		func(o *metav1.ListOptions) { o.LabelSelector = provisioner.LabelStoreUID }))
	informer := factory.Core().V1().Namespaces().Informer()
	finish := func(obj any) {
		if namespace := obj.(*corev1.Namespace); namespace.DeletionTimestamp != nil {
			namespace = namespace.DeepCopy()
			namespace.Spec.Finalizers = nil
			// Who else does so has done it.
			_, _ = config.Kube.CoreV1().Namespaces().Finalize(t.Context(), namespace, metav1.UpdateOptions{})
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: finish, UpdateFunc: func(_, obj any) { finish(obj) }}); err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	t.Cleanup(factory.Shutdown)
}

// start runs a controller until stop is called, which waits for its end.
func (f *fleet) start(t *testing.T, workers int) (registry metrics.KubeRegistry, stop func()) {
	t.Helper()
	config := f.config
	config.Workers = workers
	controller, err := provisioner.New(config)
	if err != nil {
		t.Fatal(err)
	}
	registry = metrics.NewKubeRegistry()
	registry.MustRegister(controller.Registerables()...)
	registry.CustomMustRegister(controller.Collector())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	harness.Eventually(t, patience, "the controller to see the stores", func(context.Context) (bool, error) { return controller.HasSynced(), nil })
	return registry, stop
}

func (f *fleet) create(t *testing.T, name string, edit func(*v1alpha1.Store)) *v1alpha1.Store {
	t.Helper()
	store := newStore(name, f.engine)
	if edit != nil {
		edit(store)
	}
	store, err := f.stores.Create(t.Context(), store, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// delete deletes a store that was there a moment ago: one that was deleted before may
// have gone since.
func (f *fleet) delete(t *testing.T, name string) {
	t.Helper()
	if err := f.stores.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

func (f *fleet) list(t *testing.T) []v1alpha1.Store {
	t.Helper()
	list, err := f.stores.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// follow has see called with every state of the fleet's stores until the test ends,
// and with the last of those that are gone.
func (f *fleet) follow(t *testing.T, see func(store *v1alpha1.Store, gone bool)) {
	t.Helper()
	factory := platforminformers.NewSharedInformerFactory(f.config.Stores, 0)
	informer := factory.Platform().V1alpha1().Stores().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { see(obj.(*v1alpha1.Store), false) },
		UpdateFunc: func(_, obj any) { see(obj.(*v1alpha1.Store), false) },
		DeleteFunc: func(obj any) {
			if store, ok := obj.(*v1alpha1.Store); ok {
				see(store, true)
			}
		},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory.StartWithContext(ctx)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	factory.WaitForCacheSync(ctx.Done())
}

// until waits longer than eventually does, for what many stores have to come to.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 5*time.Minute, true, func(context.Context) (bool, error) { return done(), nil }); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// worktimes is the share of the only replica. It notes when workers have been at
// which stores.
type worktimes struct {
	mu   sync.Mutex
	done []worktime
}

type worktime struct {
	uid      types.UID
	from, to time.Time
}

func (w *worktimes) Begin(uid types.UID) (func(), bool) {
	from := time.Now()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.done = append(w.done, worktime{uid, from, time.Now()})
	}, true
}

func (*worktimes) Mine(types.UID) bool    { return true }
func (*worktimes) Of(types.UID) int       { return 0 }
func (*worktimes) Notify(func(int, bool)) {}

// begun lists the stores in the order in which workers have begun to be at them since
// from, but for those that they still are at.
func (w *worktimes) begun(from time.Time) []types.UID {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := slices.Clone(w.done)
	slices.SortFunc(done, func(a, b worktime) int { return a.from.Compare(b.from) })
	var order []types.UID
	for _, work := range done {
		if !work.from.Before(from) {
			order = append(order, work.uid)
		}
	}
	return order
}

// within is how long workers were at the stores in the time given, in all.
func (w *worktimes) within(stores map[types.UID]bool, from, to time.Time) (total time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, work := range w.done {
		begin, end := work.from, work.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if stores[work.uid] && end.After(begin) {
			total += end.Sub(begin)
		}
	}
	return total
}
