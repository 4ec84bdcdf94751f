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

// What a store's worker has written or read is no news when a watch brings it, before
// or after the worker knows; what others do is.
func TestNewsIsWhatOthersDo(t *testing.T) {
	t.Parallel()
	const service, deployment = "Service", "Deployment"
	for _, tc := range []struct {
		name string
		do   func(see func(kind, version string, gone bool), seen func(kind, version string))
		// what of the namespace is news, all that rests and anything
		rest, any bool
	}{
		{"nothing", func(func(string, string, bool), func(string, string)) {}, false, false},
		{"its own write", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "11", false)
		}, false, false},
		{"its own write, of which the watch was faster", func(see func(string, string, bool), seen func(string, string)) {
			see(service, "11", false)
			seen(service, "11")
		}, false, false},
		{"an older version than its own write", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "9", false)
		}, false, false},
		{"a change after its own write", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "12", false)
		}, true, true},
		{"a change that was faster than the answer to its own write", func(see func(string, string, bool), seen func(string, string)) {
			see(service, "12", false)
			seen(service, "11")
		}, true, true},
		{"the end of what it has made", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "12", true)
		}, true, true},
		{"the end of what it has made anew", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "13")
			see(service, "12", true)
		}, false, false},
		{"what comes after an end", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "12", true)
			seen(service, "13")
		}, false, false},
		{"what it has read", func(see func(string, string, bool), seen func(string, string)) {
			seen(deployment, "11")
			see(deployment, "11", false)
		}, false, false},
		{"the progress of a workload", func(see func(string, string, bool), seen func(string, string)) {
			seen(deployment, "11")
			see(deployment, "12", false)
		}, false, true},
		{"a Secret", func(see func(string, string, bool), seen func(string, string)) {
			seen("Secret", "11")
			see("Secret", "12", false)
		}, false, true},
		{"what a quota counts", func(see func(string, string, bool), seen func(string, string)) {
			seen("ResourceQuota", "11")
			see("ResourceQuota", "12", false)
		}, false, false},
		{"the end of a quota", func(see func(string, string, bool), seen func(string, string)) {
			seen("ResourceQuota", "11")
			see("ResourceQuota", "12", true)
		}, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := watching(t)
			before, all := w.lastChange(testNamespace), w.lastOfAll(testNamespace)
			tc.do(func(kind, version string, gone bool) {
				into := &changes{watches: w, kind: kindNamed(t, kind)}
				_ = into.tell(partial(version), gone)
			}, func(kind, version string) { w.seen(testNamespace, kind, "shop", version) })
			if rest := w.lastChange(testNamespace) != before; rest != tc.rest {
				t.Errorf("news of what rests: %t, want %t", rest, tc.rest)
			}
			if any := w.lastOfAll(testNamespace) != all; any != tc.any {
				t.Errorf("any news: %t, want %t", any, tc.any)
			}
		})
	}
}

// A watch that begins anew tells what was missed, and of what is as it was nothing.
func TestWatchThatBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		list []any
		news bool
	}{
		{"as it was", []any{partial("11")}, false},
		{"changed", []any{partial("12")}, true},
		{"gone", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := watching(t)
			into := &changes{watches: w, kind: kindNamed(t, "Service")}
			_ = into.Replace([]any{partial("11")}, "11")
			before := w.lastChange(testNamespace)
			_ = into.Replace(tc.list, "20")
			if news := w.lastChange(testNamespace) != before; news != tc.news {
				t.Errorf("news: %t, want %t", news, tc.news)
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

func kindNamed(t *testing.T, name string) *watchedKind {
	t.Helper()
	i := slices.IndexFunc(watched, func(k watchedKind) bool { return k.kind == name })
	if i < 0 {
		t.Fatalf("kind %s is not watched", name)
	}
	return &watched[i]
}

func partial(version string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "shop", ResourceVersion: version}}
}

// Helm writes its revisions all the time; that one is gone is news.
func TestOnlyTheEndOfARevisionIsNews(t *testing.T) {
	t.Parallel()
	w := watching(t)
	into := &changes{watches: w, kind: kindNamed(t, "Secret")}
	revision := func(version string) *metav1.PartialObjectMetadata {
		object := partial(version)
		object.Name = "sh.helm.release.v1.shop.v1"
		return object
	}
	before := w.lastOfAll(testNamespace)
	_ = into.tell(revision("11"), false)
	_ = into.tell(revision("12"), false)
	if w.lastOfAll(testNamespace) != before {
		t.Error("a revision that is written is news")
	}
	if _ = into.tell(revision("13"), true); w.lastOfAll(testNamespace) == before {
		t.Error("a revision that is gone is no news")
	}
}
