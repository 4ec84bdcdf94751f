package provisioner

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
	platformfake "platform.dev/stores/pkg/generated/clientset/versioned/fake"
	helmfake "platform.dev/stores/pkg/provisioner/helm/fake"
)

// world is a controller over clients that keep their objects in memory. What
// real API servers, Helm and controllers make of the same is tested in the test
// module; here the decisions are.
type world struct {
	*Controller
	kube   *kubefake.Clientset
	api    *platformfake.Clientset
	helm   *helmfake.Helm
	events *events.FakeRecorder
	shop   *httptest.Server
	// answers is what the storefront says.
	answers func(w http.ResponseWriter, r *http.Request)
	clock   time.Time
}

// alone is the share of the only replica.
type alone struct{}

func (alone) Begin(types.UID) (func(), bool) { return func() {}, true }
func (alone) Mine(types.UID) bool            { return true }
func (alone) Of(types.UID) int               { return 0 }
func (alone) Notify(func(int, bool))         {}

type cacheKey = cache.ObjectName

var testKey = cache.NewObjectName("team-a", "flowers")

const testNamespace = "store-flowers-74bee172"

func testStore() *v1alpha1.Store {
	return &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team-a", Name: "flowers", UID: "5b2c9f1e", Generation: 1,
			Finalizers: []string{"other", v1alpha1.Finalizer},
		},
		Spec: v1alpha1.StoreSpec{
			Engine: "medusa", Version: "2.0", Plan: "small", DisplayName: "Flowers",
			Host: "flowers.localhost", AdminEmail: "admin@flowers.localhost",
			PowerState: v1alpha1.PowerStateRunning, DeletionPolicy: v1alpha1.DeletionPolicyDelete,
		},
	}
}

// storeNamespace is the store's namespace as an earlier process has made it.
func storeNamespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace, Labels: namespaceLabels(testStore())}}
}

func testEngine() *v1alpha1.Engine {
	return &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "medusa"},
		Spec: v1alpha1.EngineSpec{
			Chart:          v1alpha1.ChartSource{Builtin: ptr.To("shop")},
			DefaultVersion: "2.0", Versions: []v1alpha1.EngineVersion{{Name: "2.0"}},
			DefaultPlan: "small", Plans: []v1alpha1.EnginePlan{{
				Name: "small", Quota: map[string]resource.Quantity{"limits.cpu": resource.MustParse("2")},
			}},
			Mappings:    []v1alpha1.ValueMapping{{Value: "title", From: v1alpha1.StoreFieldDisplayName}, {Value: "secret", From: v1alpha1.StoreFieldCredentialsSecret}},
			Credentials: []v1alpha1.Credential{{Key: "password", Generate: &v1alpha1.RandomValue{Length: 24}}},
			Storefront: v1alpha1.Storefront{
				Service: "shop", Port: 80, AdminPath: "/app",
				Checks: []v1alpha1.StorefrontCheck{{Path: "/ready?deep=1"}, {Path: "/", Contains: "Flowers"}},
			},
		},
	}
}

// newWorld is a cluster that holds the objects, the engine and the store.
func newWorld(t *testing.T, store *v1alpha1.Store, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{
		kube:    kubefake.NewClientset(objects...),
		api:     platformfake.NewClientset(store, testEngine()),
		helm:    &helmfake.Helm{},
		events:  events.NewFakeRecorder(100),
		answers: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("Flowers")) },
		clock:   time.Now().Truncate(time.Second),
	}
	w.shop = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.answers(rw, r) }))
	t.Cleanup(w.shop.Close)
	dynamicClient := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{httpRoutes: "HTTPRouteList"})
	c, err := New(Config{
		Stores: w.api, Kube: w.kube, Metadata: metadatafake.NewSimpleMetadataClient(runtime.NewScheme()), Dynamic: dynamicClient,
		Helm: w.helm, Charts: chart.NewCharts(fstest.MapFS{"shop/Chart.yaml": {Data: []byte("apiVersion: v2\nname: shop\nversion: 1.0.0\n")}}),
		Shares:        alone{},
		Identity:      Identity{Namespace: "stores-system", ServiceAccount: "provisioner", ClusterRole: "inside", Reader: Reader{"apiserver", "credentials"}},
		Platform:      engine.Platform{Scheme: "https"},
		StorefrontURL: func(string, string, int32) string { return w.shop.URL },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.events = w.events
	c.now = func() time.Time { return w.clock }
	w.Controller = c
	c.probes.ctx = t.Context()
	for _, informer := range c.informers[:2] {
		for _, obj := range []any{store, testEngine()} {
			if _, isStore := obj.(*v1alpha1.Store); isStore == (informer == c.informers[0]) {
				if err := informer.GetIndexer().Add(obj); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return w
}

// reconcileOnce reconciles the store as it is now and returns what was written.
func (w *world) reconcileOnce(t *testing.T) *v1alpha1.Store {
	t.Helper()
	w.refresh(t)
	if _, err := w.reconcile(t.Context(), testKey); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	return w.refresh(t)
}

// refresh brings the cache to the state of the API.
func (w *world) refresh(t *testing.T) *v1alpha1.Store {
	t.Helper()
	store, err := w.api.PlatformV1alpha1().Stores(testKey.Namespace).Get(t.Context(), testKey.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.storeIndex.Update(store); err != nil {
		t.Fatal(err)
	}
	return store
}

// change edits the store as a user does.
func (w *world) change(t *testing.T, edit func(*v1alpha1.Store)) {
	t.Helper()
	store := w.refresh(t)
	edit(store)
	store.Generation++
	if _, err := w.api.PlatformV1alpha1().Stores(testKey.Namespace).Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// untilAnswered waits for the storefront's answer.
func (w *world) untilAnswered(t *testing.T) {
	t.Helper()
	deadline := time.AfterFunc(10*time.Second, w.queue.ShutDown)
	defer deadline.Stop()
	key, shutdown := w.queue.Get()
	if shutdown {
		t.Fatal("the storefront's answer woke nobody")
	}
	w.queue.Done(key)
}

// becomeReady takes a new store to Ready.
func (w *world) becomeReady(t *testing.T) *v1alpha1.Store {
	t.Helper()
	w.reconcileOnce(t)
	w.untilAnswered(t)
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	return store
}

func wantCondition(t *testing.T, store *v1alpha1.Store, conditionType string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	for _, c := range store.Status.Conditions {
		if c.Type != conditionType {
			continue
		}
		if c.Status != status || c.Reason != reason || c.ObservedGeneration != store.Generation {
			t.Errorf("%s is %s, %s at generation %d (%s), want %s, %s at generation %d", conditionType, c.Status, c.Reason, c.ObservedGeneration, c.Message, status, reason, store.Generation)
		}
		return
	}
	t.Errorf("there is no condition %s", conditionType)
}

func wantNoCondition(t *testing.T, store *v1alpha1.Store, conditionType string) {
	t.Helper()
	for _, c := range store.Status.Conditions {
		if c.Type == conditionType {
			t.Errorf("there is a condition %s: %s, %s", conditionType, c.Reason, c.Message)
		}
	}
}

// released marks an object as one of the release.
func released(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: testNamespace, Name: name, Annotations: map[string]string{"meta.helm.sh/release-name": "store"}}
}

func completeJob(name string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: released(name), Status: batchv1.JobStatus{
		Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}},
	}}
}

// addPod gives the shop's Deployment a pod that runs, or has not started yet, in
// place of the one before.
func (w *world) addPod(t *testing.T, running bool) {
	t.Helper()
	pods := w.kube.CoreV1().Pods(testNamespace)
	if err := pods.Delete(t.Context(), "shop-1", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "shop-1", Labels: map[string]string{"app": "shop"}}}
	if running {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "shop", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
