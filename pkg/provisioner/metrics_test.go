package provisioner

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

func (w *world) registry() metrics.KubeRegistry {
	registry := metrics.NewKubeRegistry()
	registry.MustRegister(w.Registerables()...)
	registry.CustomMustRegister(w.Collector())
	return registry
}

func wantMetrics(t *testing.T, registry metrics.KubeRegistry, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// onlyEven is the share of a replica that holds the stores with an even UID.
type onlyEven struct{ alone }

func (onlyEven) Mine(uid types.UID) bool { return strings.HasSuffix(string(uid), "0") }

func TestInventoryIsTheReplicasShareOfTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.shares = onlyEven{}
	for i, uid := range []types.UID{"10", "20", "21"} {
		store := testStore()
		store.Name, store.UID = fmt.Sprint("shop-", i), uid
		store.Status.Release = &v1alpha1.StoreRelease{ChartVersion: "1.0.0"}
		store.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
		if uid == "20" {
			store.DeletionTimestamp = &metav1.Time{Time: w.clock.Add(-90 * time.Second)}
			store.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReleaseInstalled, Status: metav1.ConditionFalse, Reason: reasonDrifted}}
		}
		if err := w.storeIndex.Add(store); err != nil {
			t.Fatal(err)
		}
	}
	w.queue.Add(testKey)
	w.clock = w.clock.Add(3 * time.Second)
	registry := w.registry()
	wantMetrics(t, registry, `
# HELP stores_deletion_oldest_seconds [ALPHA] Age of the oldest deletion that has not come to its end, or 0.
# TYPE stores_deletion_oldest_seconds gauge
stores_deletion_oldest_seconds 93
# HELP stores_drifted [ALPHA] Stores that are not as their release made them.
# TYPE stores_drifted gauge
stores_drifted 1
# HELP stores_provision_queue_age_seconds [ALPHA] How long the store that has waited longest for a worker has waited, by the kind of work.
# TYPE stores_provision_queue_age_seconds gauge
stores_provision_queue_age_seconds{queue="change"} 0
stores_provision_queue_age_seconds{queue="create"} 3
stores_provision_queue_age_seconds{queue="delete"} 0
stores_provision_queue_age_seconds{queue="repair"} 0
stores_provision_queue_age_seconds{queue="start"} 0
# HELP stores_provision_queue_length [ALPHA] Stores that wait for a worker, by the kind of work.
# TYPE stores_provision_queue_length gauge
stores_provision_queue_length{queue="change"} 0
stores_provision_queue_length{queue="create"} 1
stores_provision_queue_length{queue="delete"} 0
stores_provision_queue_length{queue="repair"} 0
stores_provision_queue_length{queue="start"} 0
# HELP stores_store_condition [ALPHA] A condition of a store, with the status it has.
# TYPE stores_store_condition gauge
stores_store_condition{name="shop-0",namespace="team-a",status="True",type="Ready"} 1
stores_store_condition{name="shop-1",namespace="team-a",status="False",type="ReleaseInstalled"} 1
# HELP stores_store_info [ALPHA] A store, by what it is made of.
# TYPE stores_store_info gauge
stores_store_info{chart_version="1.0.0",engine="medusa",name="shop-0",namespace="team-a",plan="small"} 1
stores_store_info{chart_version="1.0.0",engine="medusa",name="shop-1",namespace="team-a",plan="small"} 1
`, "stores_store_info", "stores_store_condition", "stores_drifted", "stores_deletion_oldest_seconds", "stores_provision_queue_age_seconds", "stores_provision_queue_length")

	// What is gone from the list is gone from the metrics.
	for _, obj := range w.storeIndex.List() {
		if err := w.storeIndex.Delete(obj); err != nil {
			t.Fatal(err)
		}
	}
	wantMetrics(t, registry, "", "stores_store_info", "stores_store_condition")
}

func TestWhatIsDoneIsCounted(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: CredentialsSecret}, Data: map[string][]byte{"password": []byte("first")}}
	w := newWorld(t, testStore(), storeNamespace(), secret)
	registry := w.registry()
	w.helm.Put(testNamespace, ReleaseName, helm.Release{Revision: 4, Status: "pending-upgrade", Labels: map[string]string{LabelChartDigest: "another"}})
	w.change(t, func(s *v1alpha1.Store) { s.CreationTimestamp = metav1.NewTime(w.clock.Add(-30 * time.Second)) })
	w.becomeReady(t)
	w.memories = map[cacheKey]*memory{}
	w.helm.Drifts = []helm.Drift{{Object: helm.Object{Kind: "Service", Name: "shop"}, Missing: true}}
	w.reconcileOnce(t)
	wantMetrics(t, registry, `
# HELP stores_drift_corrections_total [ALPHA] How often something of a store was made again because it was gone or changed.
# TYPE stores_drift_corrections_total counter
stores_drift_corrections_total 1
# HELP stores_helm_actions_total [ALPHA] Helm actions that have ended.
# TYPE stores_helm_actions_total counter
stores_helm_actions_total{action="unlock",result="success"} 1
stores_helm_actions_total{action="upgrade",result="success"} 2
# HELP stores_helm_releases_unlocked_total [ALPHA] Releases whose last action had been cut off, and that were made usable again.
# TYPE stores_helm_releases_unlocked_total counter
stores_helm_releases_unlocked_total 1
# HELP stores_provision_failures_total [ALPHA] How often a step was found to be failing for another reason than before.
# TYPE stores_provision_failures_total counter
stores_provision_failures_total{engine="medusa",reason="Drifted",step="ReleaseInstalled"} 1
# HELP stores_provision_inflight [ALPHA] Stores that are being worked on at this moment.
# TYPE stores_provision_inflight gauge
stores_provision_inflight 0
`, "stores_drift_corrections_total", "stores_helm_actions_total", "stores_helm_releases_unlocked_total", "stores_provision_failures_total", "stores_provision_inflight")

	for name, labels := range map[string]map[string]string{
		"stores_provision_duration_seconds":      {"engine": "medusa", "start": "cold", "result": "success"},
		"stores_provision_step_duration_seconds": {"engine": "medusa", "step": "SecretsReady", "result": "success"},
		"stores_helm_action_duration_seconds":    {"action": "unlock"},
	} {
		histogram, err := testutil.GetHistogramVecFromGatherer(registry, name, labels)
		if err != nil {
			t.Fatal(err)
		}
		if count := histogram.GetAggregatedSampleCount(); count != 1 {
			t.Errorf("%s was observed %d times, want 1", name, count)
		}
		if sum := histogram.GetAggregatedSampleSum(); name == "stores_provision_duration_seconds" && sum != 30 {
			t.Errorf("%s sums to %v, want 30", name, sum)
		}
	}
}

// Every reason that this package gives is told apart in metrics, and no other: what
// clusters report would make series without end.
func TestFailureReasonsAreBounded(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`(?:failed|stalled)\((?:[^"()]*(?:\(\))?, )?"([A-Za-z]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range own.FindAllStringSubmatch(string(source), -1) {
			found++
			if !failureReasons.Has(match[1]) {
				t.Errorf("%s: reason %s is not among those that metrics tell apart", file, match[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("found only %d reasons", found)
	}

	w := newWorld(t, testStore())
	registry := w.registry()
	w.instruments.failure("medusa", "WorkloadReady", "CrashLoopBackOff")
	w.instruments.failure("medusa", "WorkloadReady", "FailedBecauseOf0x7f")
	w.instruments.failure("medusa", "WorkloadReady", "FailedBecauseOf0x80")
	wantMetrics(t, registry, `
# HELP stores_provision_failures_total [ALPHA] How often a step was found to be failing for another reason than before.
# TYPE stores_provision_failures_total counter
stores_provision_failures_total{engine="medusa",reason="CrashLoopBackOff",step="WorkloadReady"} 1
stores_provision_failures_total{engine="medusa",reason="Other",step="WorkloadReady"} 2
`, "stores_provision_failures_total")
}
