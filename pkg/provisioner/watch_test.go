package provisioner

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	metadatafake "k8s.io/client-go/metadata/fake"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/provisioner/helm"
)

// What has no pods, such as a Service, is compared when a watch tells of it, and
// not each time that somebody looks.
func TestWatchTellsOfWhatHasNoPods(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ resource, apiVersion, kind string }{
		{"services", "v1", "Service"},
		{"networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"},
		{"ingresses", "networking.k8s.io/v1", "Ingress"},
		{"configmaps", "v1", "ConfigMap"},
		{"serviceaccounts", "v1", "ServiceAccount"},
		{"cronjobs", "batch/v1", "CronJob"},
	} {
		t.Run(tc.resource, func(t *testing.T) {
			t.Parallel()
			w := sellingWorld(t)
			object := &metav1.PartialObjectMetadata{
				TypeMeta:   metav1.TypeMeta{APIVersion: tc.apiVersion, Kind: tc.kind},
				ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "shop", Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}},
			}
			scheme := metadatafake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			client, changes := metadatafake.NewSimpleMetadataClient(scheme, object), watch.NewFake()
			client.PrependWatchReactor(tc.resource, func(clientgotesting.Action) (bool, watch.Interface, error) { return true, changes, nil })
			woken := make(chan string, 10)
			gone := make(chan struct{})
			w.watches = newWatches(client, apiServer(t, func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/"+tc.resource) {
					_, _ = io.WriteString(rw, event("ADDED", "shop", "11"))
				}
				_, _ = io.WriteString(rw, initialEnd("12"))
				_ = http.NewResponseController(rw).Flush()
				if strings.HasSuffix(r.URL.Path, "/"+tc.resource) {
					<-gone
					_, _ = io.WriteString(rw, event("DELETED", "shop", "13"))
					_ = http.NewResponseController(rw).Flush()
				}
				<-r.Context().Done()
			}), func(namespace string) { woken <- namespace })
			w.watches.ctx = t.Context()
			w.watches.start(testNamespace)
			w.watches.follow(testNamespace, map[string]bool{tc.kind: true})
			go w.watches.run(t.Context())
			awaitWake := func() {
				t.Helper()
				select {
				case <-woken:
				case <-time.After(10 * time.Second):
					t.Fatal("no watch has woken the store")
				}
			}

			awaitWake() // by the watch of Secrets, of which nothing is known
			awaitWake() // by the object
			w.reconcileOnce(t)
			w.helm.Drifts = []helm.Drift{{Object: helm.Object{Kind: tc.kind, Name: "shop"}, Missing: true}}
			w.reconcileOnce(t)
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
				t.Fatalf("Helm was asked for %v before anything has changed", actions)
			}

			told := w.watchReady(t)
			if close(gone); !kindNamed(t, tc.kind).confidential {
				changes.Delete(object)
			}
			awaitWake()
			w.reconcileOnce(t)
			if want := "False Drifted " + tc.kind + " shop is gone."; len(*told) == 0 || (*told)[0] != want {
				t.Errorf("Ready was told as %q, want first %q", *told, want)
			}
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) {
				t.Errorf("Helm was asked for %v, want one repair", actions)
			}
		})
	}
}

// What a namespace is watched for follows what its store has.
func TestOnlyKindsOfTheStoreAreFollowed(t *testing.T) {
	t.Parallel()
	w := watching(t)
	followed := func() []string { return slices.Sorted(maps.Keys(w.namespaces[testNamespace].followed)) }
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() { w.follow(testNamespace, nil) }, []string{"Secret"}},
		{func() { w.follow(testNamespace, map[string]bool{"Deployment": true, "Service": true, "Pod": true}) }, []string{"Deployment", "Pod", "Secret"}},
		{func() { w.unfollow(testNamespace, "Pod") }, []string{"Deployment", "Secret"}},
		{func() { w.follow("store-of-nobody", nil) }, []string{"Deployment", "Secret"}},
	} {
		step.do()
		if got := followed(); !slices.Equal(got, step.want) {
			t.Fatalf("followed are %v, want %v", got, step.want)
		}
	}
}

// watching are watches of a store's namespace that tell nobody.
func watching(t *testing.T) *watches {
	t.Helper()
	nobody := apiServer(t, func(rw http.ResponseWriter, r *http.Request) { http.NotFound(rw, r) })
	w := newWatches(metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()), nobody, func(string) {})
	w.ctx = t.Context()
	w.start(testNamespace)
	t.Cleanup(w.running.Wait)
	return w
}
