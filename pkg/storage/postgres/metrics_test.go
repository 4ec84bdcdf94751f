package postgres

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/storage"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	registry := metrics.NewKubeRegistry()
	registry.CustomMustRegister(f.db.Collector())
	check := func(watchers int, inUse int, revision int64) {
		t.Helper()
		want := fmt.Sprintf(`
# HELP stores_storage_pool_in_use [ALPHA] Connections of the pool that are in use.
# TYPE stores_storage_pool_in_use gauge
stores_storage_pool_in_use %d
# HELP stores_storage_pool_max [ALPHA] The most connections that the pool may have.
# TYPE stores_storage_pool_max gauge
stores_storage_pool_max 4
# HELP stores_storage_revision [ALPHA] The latest revision that this process has seen.
# TYPE stores_storage_revision gauge
stores_storage_revision %d
# HELP stores_storage_watchers [ALPHA] Watches open on the storage, below the watch cache.
# TYPE stores_storage_watchers gauge
stores_storage_watchers %d
`, inUse, revision, watchers)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
			"stores_storage_pool_in_use", "stores_storage_pool_max", "stores_storage_revision", "stores_storage_watchers"); err != nil {
			t.Error(err)
		}
	}
	pod := createPod(t, f.Storage, "a")
	conn, err := f.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Watch(t.Context(), "/pods", storage.ListOptions{Recursive: true, Predicate: storage.Everything, ResourceVersion: pod.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	check(1, 1, revisionOf(t, pod))
	conn.Release()
	w.Stop()
	for range w.ResultChan() { // until it is over
	}
	check(0, 0, revisionOf(t, pod))
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ops := map[string]uint64{}
	for _, family := range families {
		if family.GetName() == "stores_storage_operation_duration_seconds" {
			for _, m := range family.GetMetric() {
				ops[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
			}
		}
	}
	if ops["create"] == 0 || ops["watch"] == 0 {
		t.Errorf("operations observed: %v", ops)
	}
}
