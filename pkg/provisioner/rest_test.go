package provisioner

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// A shop that sells is asked for nothing but its storefront until something changes.
func TestRestingStoreIsNotRead(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(*testing.T, *world){
		"a change in its namespace": func(_ *testing.T, w *world) { w.watches.changed(testNamespace) },
		"a change of the store":     func(t *testing.T, w *world) { w.change(t, func(s *v1alpha1.Store) { s.Spec.DisplayName = "Blumen" }) },
		"a change of the engine": func(t *testing.T, w *world) {
			engine := testEngine()
			engine.Generation++
			if err := w.informers[1].GetIndexer().Update(engine); err != nil {
				t.Fatal(err)
			}
		},
		"no storefront": func(t *testing.T, w *world) { w.storefrontFails(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testStore())
			w.watchNamespace()
			w.becomeReady(t)
			read := 0
			w.kube.PrependReactor("*", "*", func(clientgotesting.Action) (bool, runtime.Object, error) {
				read++
				return true, nil, errors.New("etcd is away")
			})
			for _, pause := range []time.Duration{probeStale, probeStale, 24 * time.Hour} {
				w.clock = w.clock.Add(pause)
				for i := range 2 {
					if again, err := w.reconcile(t.Context(), testKey); err != nil || again == 0 {
						t.Fatalf("reconciling a store that rests: again in %s, error %v", again, err)
					}
					if i == 0 {
						w.untilAnswered(t)
					}
				}
			}
			if read > 0 {
				t.Fatalf("%d requests for a store that rests", read)
			}
			disturb(t, w)
			_, _ = w.reconcile(t.Context(), testKey) // the API server is away
			if read == 0 {
				t.Error("nothing was read after a change")
			}
		})
	}
}

// storefrontFails makes the newest answer of the storefront a bad one.
func (w *world) storefrontFails(t *testing.T) {
	t.Helper()
	w.answers = func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusServiceUnavailable) }
	w.clock = w.clock.Add(probeStale)
	if _, err := w.reconcile(t.Context(), testKey); err != nil {
		t.Fatal(err)
	}
	w.untilAnswered(t)
}

// watchNamespace has the store's namespace watched, in which nothing has happened.
func (w *world) watchNamespace() {
	w.watches.changes, w.watches.namespaces[testNamespace] = 1, newWatchedNamespace(1)
}

// Of a store that only waits for its storefront nothing else is read, and when that
// answers the store is ready.
func TestStorefrontIsWaitedForWithoutReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.watchNamespace()
	w.answers = func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusServiceUnavailable) }
	w.reconcileOnce(t)
	w.untilAnswered(t)
	w.reconcileOnce(t)
	read := 0
	w.kube.PrependReactor("*", "*", func(clientgotesting.Action) (bool, runtime.Object, error) {
		read++
		return true, nil, errors.New("etcd is away")
	})
	for range 3 {
		w.storefrontFails(t)
		wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionReady, metav1.ConditionFalse, "StorefrontNotAnswering")
	}
	w.answers = func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("Flowers")) }
	w.clock = w.clock.Add(probeStale)
	w.reconcileOnce(t)
	w.untilAnswered(t)
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	if ready := store.Status.Release.Ready; ready == nil || ready.Digest != contentDigest(w.helm.Requests()[0].Labels) {
		t.Errorf("the revision that is ready is told as %+v", ready)
	}
	if read > 0 {
		t.Errorf("%d requests for a store that waits for its storefront", read)
	}
}

// While a shop comes up, changes of what runs have that read and nothing else.
func TestOnlyWhatRunsIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*world)
		all    bool // whether all is read again
	}{
		{"a pod", func(w *world) { w.sees(t, "Pod") }, false},
		{"a Deployment", func(w *world) { w.sees(t, "Deployment") }, false},
		{"a Secret", func(w *world) { w.sees(t, "Secret") }, true},
		{"a Service", func(w *world) { w.sees(t, "Service") }, true},
		{"the namespace", func(w *world) { w.watches.changed(testNamespace) }, true},
		{"time alone", func(w *world) { w.clock = w.clock.Add(24 * time.Hour) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testStore(), shopDeployment(0))
			w.helm.Manifest = []helm.Object{{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"}}
			w.watchNamespace()
			w.reconcileOnce(t)
			w.kube.ClearActions()
			tc.change(w)
			store := w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionWorkloadReady, metav1.ConditionFalse, "WorkloadProgressing")
			read := func(resource string) bool {
				return slices.ContainsFunc(w.kube.Actions(), func(a clientgotesting.Action) bool {
					return a.Matches("get", resource) || a.Matches("list", resource)
				})
			}
			if !read("deployments") || !read("pods") {
				t.Error("what runs was not read again")
			}
			if all := read("secrets"); all != tc.all {
				t.Errorf("the credentials were read again: %t, want %t", all, tc.all)
			}
		})
	}
}

// sees has a watch tell of a change of an object of the kind.
func (w *world) sees(t *testing.T, kind string) {
	t.Helper()
	_ = (&changes{watches: w.watches, kind: kindNamed(t, kind)}).tell(partial("99"), false)
}

// An answer that has waited for a worker longer than it is fresh is not asked for again.
func TestAnswerThatWaitedIsBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.reconcileOnce(t)
	w.untilAnswered(t)
	w.clock = w.clock.Add(2 * probeFresh)
	wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	w.probes.running.Wait()
	if w.queue.Len() > 0 {
		t.Error("the storefront was asked again, and woke the store")
	}
}
