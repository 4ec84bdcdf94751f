package provisioning

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/argocd"
	"platform.dev/stores/test/internal/harness"
)

// verdict is what GitOps tools take an object for.
type verdict struct {
	Argo                  string // by the health check of artifacts/gitops
	Flux, FluxExpressions status.Status
}

// judge holds the settings of artifacts/gitops.
type judge struct {
	t      testing.TB
	argo   argocd.HealthChecks
	stores *cel.StatusEvaluator
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	folder := filepath.Join("..", "..", "..", "artifacts", "gitops")
	checks, err := argocd.LoadHealthChecks(filepath.Join(folder, "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(folder, "flux-kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(raw, &kustomization); err != nil {
		t.Fatal(err)
	}
	if len(kustomization.Spec.HealthCheckExprs) != 1 {
		t.Fatalf("%d checks, want one", len(kustomization.Spec.HealthCheckExprs))
	}
	evaluator, err := cel.NewStatusEvaluator(&kustomization.Spec.HealthCheckExprs[0].HealthCheckExpressions)
	if err != nil {
		t.Fatal(err)
	}
	return &judge{t, checks, evaluator}
}

func (j *judge) of(object *unstructured.Unstructured) verdict {
	j.t.Helper()
	health, err := j.argo.Health(object)
	if err != nil {
		j.t.Fatalf("Argo CD: %v", err)
	}
	if health.Message == "" {
		j.t.Errorf("Argo CD is told nothing about a store that is %s", health.Status)
	}
	flux, err := status.Compute(object)
	if err != nil {
		j.t.Fatalf("Flux: %v", err)
	}
	expressions, err := j.stores.Evaluate(j.t.Context(), object)
	if err != nil {
		j.t.Fatalf("Flux's expressions: %v", err)
	}
	return verdict{health.Status, flux.Status, expressions.Status}
}

// life is every state that the stores of a namespace were seen in.
type life struct {
	mu     sync.Mutex
	states []*unstructured.Unstructured
}

func follow(t testing.TB, namespace string) *life {
	t.Helper()
	l := &life{}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(env.Admin()), 0, namespace, nil)
	informer := factory.ForResource(v1alpha1.SchemeGroupVersion.WithResource("stores")).Informer()
	see := func(obj any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.states = append(l.states, obj.(*unstructured.Unstructured))
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, obj any) { see(obj) }}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	factory.WaitForCacheSync(ctx.Done())
	return l
}

// await returns the first state of a store that is as wanted, of those that there were
// since the states given.
func (l *life) await(t testing.TB, name string, since int, what string, wanted func(*v1alpha1.Store) bool) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	harness.Eventually(t, patience, name+" to be "+what, func(context.Context) (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, object := range l.states[since:] {
			if object.GetName() == name && wanted(storeOf(t, object)) {
				found = object
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

func (l *life) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.states)
}

func storeOf(t testing.TB, object *unstructured.Unstructured) *v1alpha1.Store {
	t.Helper()
	store := &v1alpha1.Store{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, store); err != nil {
		t.Fatal(err)
	}
	return store
}

// said is a condition of a store, or an empty one.
func said(s *v1alpha1.Store, conditionType string) metav1.Condition {
	if c := condition(s, conditionType); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// GitOps tools take stores for what they are, whatever befalls them: never for done
// before they sell as asked for, and for failed once waiting does not help.
func TestGitOpsToolsJudgeStores(t *testing.T) {
	namespace, patient, hasty, j := env.NewNamespace(t), tinyEngine(t, 600), tinyEngine(t, 10), newJudge(t)
	l := follow(t, namespace)
	expect := func(name string, since int, what string, want verdict, is func(*v1alpha1.Store) bool) {
		t.Helper()
		if diff := cmp.Diff(want, j.of(l.await(t, name, since, what, is))); diff != "" {
			t.Errorf("a store that is %s (-want +got):\n%s", what, diff)
		}
	}
	progressing := verdict{"Progressing", status.InProgressStatus, status.InProgressStatus}
	healthy := verdict{"Healthy", status.CurrentStatus, status.CurrentStatus}
	degraded := verdict{"Degraded", status.FailedStatus, status.FailedStatus}
	readyAs := func(reason string) func(*v1alpha1.Store) bool {
		return func(s *v1alpha1.Store) bool {
			c := said(s, v1alpha1.ConditionReady)
			return c.Reason == reason && c.ObservedGeneration == s.Generation && s.DeletionTimestamp == nil
		}
	}
	versioned := func(version string) func(*v1alpha1.StoreSpec) {
		return func(s *v1alpha1.StoreSpec) { s.Version = version }
	}

	create(t, namespace, "flowers", patient)
	expect("flowers", 0, "new", progressing, func(*v1alpha1.Store) bool { return true })
	replica := startReplica(t, "a", &record{})
	cleanUp(t, namespace)
	create(t, namespace, "stuck", hasty, versioned("unpullable"))
	create(t, namespace, "hasty", hasty)
	expect("flowers", 0, "begun", progressing, readyAs("Starting"))
	expect("flowers", 0, "selling", healthy, readyAs("Selling"))
	expect("hasty", 0, "selling", healthy, readyAs("Selling"))
	expect("stuck", 0, "waiting for its pods", progressing, func(s *v1alpha1.Store) bool {
		return said(s, v1alpha1.ConditionWorkloadReady).Status == metav1.ConditionFalse && condition(s, v1alpha1.ConditionStalled) == nil
	})
	expect("stuck", 0, "stalled", degraded, func(s *v1alpha1.Store) bool { return condition(s, v1alpha1.ConditionStalled) != nil })

	// What was asked for now is not what is said to be ready.
	replica.pause()
	since := l.len()
	change(t, namespace, "flowers", versioned("unpullable"))
	expect("flowers", since, "changed and not looked at", progressing, func(s *v1alpha1.Store) bool { return s.Generation == 2 })
	replica.resume()
	expect("flowers", since, "being upgraded", progressing, func(s *v1alpha1.Store) bool {
		return s.Status.Version == "unpullable" && said(s, v1alpha1.ConditionWorkloadReady).Status == metav1.ConditionFalse
	})

	since = l.len()
	change(t, namespace, "hasty", versioned("unpullable"))
	expect("hasty", since, "being rolled back", progressing, func(s *v1alpha1.Store) bool { return said(s, v1alpha1.ConditionReleaseInstalled).Reason == "Returning" })
	expect("hasty", since, "rolled back", degraded, func(s *v1alpha1.Store) bool {
		return readyAs("UpgradeFailed")(s) && said(s, v1alpha1.ConditionReady).Status == metav1.ConditionTrue
	})
	change(t, namespace, "hasty", versioned("1.0"))
	expect("hasty", l.len()-1, "selling again", healthy, readyAs("Selling"))

	since = l.len()
	change(t, namespace, "hasty", func(s *v1alpha1.StoreSpec) { s.PowerState = v1alpha1.PowerStateHibernated })
	expect("hasty", since, "hibernated", verdict{"Suspended", status.InProgressStatus, status.CurrentStatus}, readyAs("Hibernated"))
	change(t, namespace, "stuck", func(s *v1alpha1.StoreSpec) { s.Suspend = true })
	expect("stuck", since, "suspended before it sold", verdict{"Suspended", status.InProgressStatus, status.InProgressStatus}, readyAs("Suspended"))

	remove(t, namespace, "hasty")
	// Argo CD does not ask about what is being deleted.
	expect("hasty", since, "being deleted", verdict{"Progressing", status.TerminatingStatus, status.InProgressStatus}, func(s *v1alpha1.Store) bool {
		return said(s, v1alpha1.ConditionReady).Reason == "Deleting"
	})
	gone(t, namespace, "hasty")
	l.assertConsistent(t, j)
}

// assertConsistent checks what is true of every state.
func (l *life) assertConsistent(t testing.TB, j *judge) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, object := range l.states {
		store, got := storeOf(t, object), j.of(object)
		if store.DeletionTimestamp != nil {
			if got.Flux != status.TerminatingStatus {
				t.Errorf("a store that is deleted is %s", got.Flux)
			}
			continue
		}
		sells := store.Status.ObservedGeneration == store.Generation && said(store, v1alpha1.ConditionReady).Status == metav1.ConditionTrue
		for who, current := range map[string]bool{
			"Argo CD": got.Argo == "Healthy", "Flux": got.Flux == status.CurrentStatus,
			"Flux with expressions": got.FluxExpressions == status.CurrentStatus && said(store, v1alpha1.ConditionReady).Reason != "Hibernated",
		} {
			if current && !sells {
				t.Errorf("%s takes a store for done that is not: %s", who, conditionsOf(store))
			}
		}
		if (got.Argo == "Degraded") != (got.Flux == status.FailedStatus) {
			t.Errorf("a store is %s to Argo CD and %s to Flux: %s", got.Argo, got.Flux, conditionsOf(store))
		}
	}
}
