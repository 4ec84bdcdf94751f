package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/pkg/provisioner/helm"
	"platform.dev/stores/pkg/provisioner/helm/fake"
	"platform.dev/stores/test/internal/harness"
)

func isReady(store *v1alpha1.Store) bool {
	return meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionReady)
}

// Stores that never become ready take no worker from the others: more of them than
// there are workers, and the others get all the time but a moment.
func TestNeverAgain34SlowStoresDelayNobody(t *testing.T) {
	t.Parallel()
	const workers, slowStores, others = 2, 4, 50
	f := newFleet(t, nil)
	f.start(t, workers)
	slow := map[types.UID]bool{}
	for i := range slowStores {
		store := f.create(t, fmt.Sprint("slow-", i), func(s *v1alpha1.Store) {
			s.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"theme":"dark"}`)}
		})
		slow[store.UID] = true
	}
	waiting := func() bool {
		return !slices.ContainsFunc(f.list(t), func(s v1alpha1.Store) bool {
			return slow[s.UID] && !meta.IsStatusConditionFalse(s.Status.Conditions, v1alpha1.ConditionWorkloadReady)
		})
	}
	began := time.Now()
	until(t, "the slow stores to wait for their pods", waiting)
	if f.shares.within(slow, began.Add(-time.Hour), time.Now()) == 0 {
		t.Fatal("nobody has worked on the slow stores")
	}

	began = time.Now()
	for i := range others {
		f.create(t, fmt.Sprint("shop-", i), nil)
	}
	until(t, "all other stores to be ready", func() bool {
		ready := 0
		for _, store := range f.list(t) {
			if isReady(&store) {
				ready++
			}
		}
		return ready == others
	})
	if lost := f.shares.within(slow, began, time.Now()); lost > time.Second {
		t.Errorf("the slow stores have kept workers for %s of %s, want at most a second", lost, time.Since(began))
	}
	if !waiting() {
		t.Error("the slow stores did not stay slow")
	}
}

// The metrics of stores are the list of stores, whatever happened before.
func TestNeverAgain35MetricEqualsTheList(t *testing.T) {
	t.Parallel()
	f := newFleet(t, &fake.Helm{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // It is to be repeatable, not secret.
	made := 0
	for run := range 3 {
		registry, stop := f.start(t, 2)
		stopScraping := scrape(t, registry)
		assertMetricsAreTheList(t, f, registry) // Of a controller that has just started.
		for range 3 {
			for range 6 {
				if list := f.list(t); len(list) > 0 && random.IntN(3) == 0 {
					f.delete(t, list[random.IntN(len(list))].Name)
					continue
				}
				f.create(t, fmt.Sprintf("shop-%d", made), nil)
				made++
			}
			assertMetricsAreTheList(t, f, registry)
		}
		stopScraping()
		stop()
		// What comes and goes while no controller runs is counted all the same.
		f.create(t, fmt.Sprintf("missed-%d", run), nil)
		f.delete(t, f.list(t)[0].Name)
	}
}

// scrape reads all metrics again and again until stop is called: no moment is one at
// which they cannot be had.
func scrape(t *testing.T, registry metrics.KubeRegistry) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if _, err := registry.Gather(); err != nil {
				t.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// assertMetricsAreTheList waits until nothing happens any more, and compares.
func assertMetricsAreTheList(t *testing.T, f *fleet, registry metrics.KubeRegistry) {
	t.Helper()
	var list []v1alpha1.Store
	until(t, "quiet", func() bool {
		list = f.list(t)
		return !slices.ContainsFunc(list, func(s v1alpha1.Store) bool { return s.DeletionTimestamp != nil || !isReady(&s) })
	})
	want := []string{}
	for _, store := range list {
		want = append(want, fmt.Sprintf("stores_store_info chart_version=%s,engine=%s,name=%s,namespace=%s,plan=%s",
			store.Status.Release.ChartVersion, store.Spec.Engine, store.Name, store.Namespace, store.Spec.Plan))
		for _, c := range store.Status.Conditions {
			want = append(want, fmt.Sprintf("stores_store_condition name=%s,namespace=%s,status=%s,type=%s", store.Name, store.Namespace, c.Status, c.Type))
		}
	}
	slices.Sort(want)
	var diff string
	defer func() {
		if t.Failed() {
			t.Logf("the metrics differ from the list (-list +metrics):\n%s", diff)
		}
	}()
	harness.Eventually(t, patience, "the watch to bring the last change", func(context.Context) (bool, error) {
		got, err := storeSeries(registry)
		diff = cmp.Diff(want, got)
		return diff == "", err
	})
}

// storeSeries are the series that name stores.
func storeSeries(registry metrics.KubeRegistry) ([]string, error) {
	families, err := registry.Gather()
	if err != nil {
		return nil, err
	}
	series := []string{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "stores_store_") {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := make([]string, 0, len(m.GetLabel()))
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			if m.GetGauge().GetValue() != 1 {
				labels = append(labels, fmt.Sprintf("value %v", m.GetGauge().GetValue()))
			}
			series = append(series, family.GetName()+" "+strings.Join(labels, ","))
		}
	}
	slices.Sort(series)
	return series, nil
}

// Hundreds of stores for one worker wait, and say so: none fails for having waited,
// neither on its way up nor down.
func TestNeverAgain37FullQueuesAreNoFailure(t *testing.T) {
	t.Parallel()
	const stores = 200
	f := newFleet(t, &fake.Helm{})
	var creating errgroup.Group
	creating.SetLimit(8)
	for i := range stores {
		creating.Go(func() error {
			_, err := f.stores.Create(t.Context(), newStore(fmt.Sprint("shop-", i), f.engine), metav1.CreateOptions{})
			return err
		})
	}
	if err := creating.Wait(); err != nil {
		t.Fatal(err)
	}
	// The states are counted as a watch brings them: to list so many stores over and
	// over takes the time that the worker needs.
	var waited, wereReady, gone atomic.Int64
	counted := map[string]bool{} // of the watch alone
	f.follow(t, func(store *v1alpha1.Store, isGone bool) {
		if isGone {
			gone.Add(1)
			return
		}
		if isReady(store) && !counted[store.Name] {
			counted[store.Name] = true
			wereReady.Add(1)
		}
		ready := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case ready == nil || ready.Reason == "" || ready.Message == "":
			t.Errorf("store %s does not say what it waits for: %+v", store.Name, ready)
		case ready.Reason == v1alpha1.ReasonPending:
			waited.Add(1)
		}
		if meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionStalled) {
			t.Errorf("store %s has stalled: %s", store.Name, ready.Message)
		}
		for _, step := range store.Status.Steps {
			if step.State == v1alpha1.StepFailed {
				t.Errorf("store %s has failed at %s: %s", store.Name, step.Name, step.Message)
			}
		}
	})
	f.start(t, 1)
	until(t, "all stores to be ready", func() bool { return wereReady.Load() == stores })
	if waited.Load() != stores {
		t.Errorf("%d stores said that they were pending, want all %d", waited.Load(), stores)
	}
	if err := f.stores.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "all stores to be gone", func() bool { return gone.Load() == stores })
	if left := f.list(t); len(left) > 0 {
		t.Errorf("%d stores are left", len(left))
	}
}

// Whoever asks for many stores delays nobody else, nor what else they ask for: another
// owner's store, a change, a repair and a deletion each come next, though all of the
// flood waited before them. Meanwhile they say that they wait.
func TestFloodDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	const workers, flood = 2, 40
	// Installs hold the workers up while the gate is shut.
	gate := &gatedHelm{Helm: &fake.Helm{}, gate: make(chan struct{})}
	f := newFleet(t, gate)
	open := sync.OnceFunc(func() { close(gate.gate) })
	t.Cleanup(open)
	registry, _ := f.start(t, workers)
	changed, repaired, deleted := f.create(t, "changed", nil), f.create(t, "repaired", nil), f.create(t, "deleted", nil)
	until(t, "the first stores to be ready", func() bool {
		return !slices.ContainsFunc(f.list(t), func(s v1alpha1.Store) bool { return !isReady(&s) })
	})

	gate.shut.Store(true)
	for i := range flood {
		f.create(t, fmt.Sprint("flood-", i), nil)
	}
	waitForQueues(t, registry, map[string]float64{"create": flood - workers})
	other, err := newOwner(t, f.namespace).Create(t.Context(), newStore("other", f.engine), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"displayName":"Changed"}}`)
	if _, err := f.stores.Patch(t.Context(), changed.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.config.Kube.CoreV1().ResourceQuotas(provisioner.NamespaceName(repaired)).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.stores.Delete(t.Context(), deleted.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitForQueues(t, registry, map[string]float64{"create": flood - workers + 1, "change": 1, "repair": 1, "delete": 1})
	harness.Eventually(t, patience, "the other's store to say that it is the second to be taken", func(ctx context.Context) (bool, error) {
		store, err := f.stores.Get(ctx, other.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		ready := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
		return ready.Reason == v1alpha1.ReasonQueued && strings.HasSuffix(ready.Message, "before it in the create queue: 1."), nil
	})

	opened := time.Now()
	open()
	until(t, "all that waited behind the flood", func() bool {
		begun := f.shares.begun(opened)
		return !slices.ContainsFunc([]*v1alpha1.Store{changed, repaired, deleted, other}, func(s *v1alpha1.Store) bool { return !slices.Contains(begun, s.UID) })
	})
	// One of each other lane, one of the flood before the other's store, and one that
	// ended sooner than it began to be noted; and those of the flood that were installed
	// meanwhile, of which each round of the lanes takes one.
	const most = 10
	begun := f.shares.begun(opened)
	for _, store := range []*v1alpha1.Store{changed, repaired, deleted, other} {
		if place := slices.Index(begun, store.UID); place >= most {
			t.Errorf("store %s was taken after %d others, want at most %d", store.Name, place, most-1)
		}
	}
	until(t, "all stores to be ready", func() bool {
		list := f.list(t)
		return len(list) == flood+3 && !slices.ContainsFunc(list, func(s v1alpha1.Store) bool { return !isReady(&s) })
	})
}

// gatedHelm lets no install begin while its gate is shut.
type gatedHelm struct {
	*fake.Helm
	shut atomic.Bool
	gate chan struct{} // closed to open it for good
}

func (h *gatedHelm) Install(ctx context.Context, r helm.Request) (*helm.Release, error) {
	if h.shut.Load() {
		<-h.gate
	}
	return h.Helm.Install(ctx, r)
}

// waitForQueues waits until as many stores wait in each of the queues that want names.
func waitForQueues(t *testing.T, registry metrics.KubeRegistry, want map[string]float64) {
	t.Helper()
	got := map[string]float64{}
	defer func() {
		if t.Failed() {
			t.Logf("stores wait: %v, want %v", got, want)
		}
	}()
	harness.Eventually(t, patience, "stores to wait in their queues", func(context.Context) (bool, error) {
		families, err := registry.Gather()
		for _, family := range families {
			if family.GetName() != "stores_provision_queue_length" {
				continue
			}
			for _, m := range family.GetMetric() {
				if queue := m.GetLabel()[0].GetValue(); want[queue] > 0 {
					got[queue] = m.GetGauge().GetValue()
				}
			}
		}
		return cmp.Equal(want, got), err
	})
}
