package provisioner

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// watchReady notes what each write of the status says of Ready.
func (w *world) watchReady(t *testing.T) *[]string {
	t.Helper()
	var told []string
	w.api.PrependReactor("update", "stores", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		store := action.(clientgotesting.UpdateAction).GetObject().(*v1alpha1.Store)
		for _, c := range store.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady {
				told = append(told, string(c.Status)+" "+c.Reason+" "+c.Message)
			}
		}
		return false, nil, nil
	})
	return &told
}

func TestDriftIsToldAndRepaired(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		drift func(t *testing.T, w *world)
		want  string
	}{
		"a changed workload": {func(t *testing.T, w *world) {
			d := shopDeployment(1)
			d.Generation, d.Status.ObservedGeneration = 2, 2
			if _, err := w.kube.AppsV1().Deployments(testNamespace).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			w.helm.Drifts = []helm.Drift{{Object: helm.Object{Kind: "Deployment", Name: "shop"}, Field: "spec.replicas"}}
		}, "False Drifted Deployment shop was changed in spec.replicas."},
		"a deleted workload": {func(t *testing.T, w *world) {
			if err := w.kube.AppsV1().Deployments(testNamespace).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, "False Drifted Deployment shop is gone."},
		"something else, found by a process that has just started": {func(_ *testing.T, w *world) {
			w.memories = map[cacheKey]*memory{}
			w.helm.Drifts = []helm.Drift{{Object: helm.Object{Kind: "Service", Name: "shop"}, Missing: true}}
		}, "False Drifted Service shop is gone."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sellingWorld(t)
			tc.drift(t, w)
			told := w.watchReady(t)
			w.reconcileOnce(t)
			if len(*told) == 0 || (*told)[0] != tc.want {
				t.Errorf("Ready was told as %q, want first %q", *told, tc.want)
			}
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) {
				t.Errorf("Helm was asked for %v, want one repair", actions)
			}
			events := ""
			for len(w.events.Events) > 0 {
				events += <-w.events.Events + "\n"
			}
			if !strings.Contains(events, corev1.EventTypeWarning+" Drifted ") || !strings.Contains(events, " DriftCorrected ") {
				t.Errorf("events:\n%s", events)
			}
		})
	}
}

// What the controller itself has made in the namespace is looked at when a watch
// tells that something has changed, and made again, by name.
func TestDriftOfTheNamespaceIsToldAndRepaired(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		drift func(t *testing.T, w *world) error
		want  string
	}{
		"a deleted policy": {func(t *testing.T, w *world) error {
			return w.kube.NetworkingV1().NetworkPolicies(testNamespace).Delete(t.Context(), "store-default-deny", metav1.DeleteOptions{})
		}, "NetworkPolicy store-default-deny is gone."},
		"an opened policy": {func(t *testing.T, w *world) error {
			policies := w.kube.NetworkingV1().NetworkPolicies(testNamespace)
			policy, err := policies.Get(t.Context(), "store-default-deny", metav1.GetOptions{})
			if err != nil {
				return err
			}
			policy.Spec.PolicyTypes = nil
			_, err = policies.Update(t.Context(), policy, metav1.UpdateOptions{FieldManager: "somebody"})
			return err
		}, "NetworkPolicy store-default-deny was changed."},
		"a deleted quota": {func(t *testing.T, w *world) error {
			return w.kube.CoreV1().ResourceQuotas(testNamespace).Delete(t.Context(), "store-plan", metav1.DeleteOptions{})
		}, "ResourceQuota store-plan is gone."},
		"a deleted binding": {func(t *testing.T, w *world) error {
			return w.kube.RbacV1().RoleBindings(testNamespace).Delete(t.Context(), "stores-provisioner", metav1.DeleteOptions{})
		}, "RoleBinding stores-provisioner is gone."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sellingWorld(t)
			if err := w.informers[2].GetIndexer().Add(w.namespaceAsItIs(t)); err != nil {
				t.Fatal(err)
			}
			w.reconcileOnce(t) // It is known to stand.
			told := w.watchReady(t)
			if err := tc.drift(t, w); err != nil {
				t.Fatal(err)
			}
			w.watches.namespaces[testNamespace] = newWatchedNamespace(1)
			w.watches.changed(testNamespace)
			w.untilAnswered(t) // Woken by the watch.
			w.reconcileOnce(t)
			if want := "False Drifted " + tc.want; len(*told) == 0 || (*told)[0] != want {
				t.Errorf("Ready was told as %q, want first %q", *told, want)
			}
			w.untilAnswered(t)
			store := w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
			contents := w.namespaceContents(&attempt{store: store, engine: testEngine(), namespace: testNamespace}, &testEngine().Spec.Plans[0])
			if drift, err := contents.drift(t.Context(), w.kube, w.memories[testKey].standing); err != nil || drift != "" {
				t.Errorf("afterwards: %s %v", drift, err)
			}
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
				t.Errorf("Helm was asked for %v", actions)
			}
		})
	}
}

// namespaceAsItIs is what the cache of namespaces would hold.
func (w *world) namespaceAsItIs(t *testing.T) *corev1.Namespace {
	t.Helper()
	ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// Who puts it back as it was before anybody looked has done no harm.
func TestChangeThatIsNoDrift(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	d := shopDeployment(1)
	d.Generation, d.Status.ObservedGeneration = 2, 2
	if _, err := w.kube.AppsV1().Deployments(testNamespace).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
		t.Errorf("Helm was asked for %v", actions)
	}
}
