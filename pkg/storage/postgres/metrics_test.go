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

// gaugeOf returns the value of a metric, which must be there.
func gaugeOf(t *testing.T, registry metrics.KubeRegistry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// samples counts what a histogram of this process has observed, by its first label.
func samples(t *testing.T, name string) map[string]uint64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return counts
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	registry := metrics.NewKubeRegistry()
	registry.CustomMustRegister(f.db.Collector())
	// Those that depend on the clock, or on how busy the machine is, are only there.
	clocked := []string{"stores_storage_watch_lag_seconds", "stores_storage_pool_idle", "stores_storage_pool_waits_total", "stores_storage_pool_wait_seconds_total", "stores_storage_log_bytes"}
	check := func(watchers int, revision, kept int64) {
		t.Helper()
		want := ""
		names := []string{}
		for _, m := range []struct {
			name, help string
			value      int64
		}{
			{"retention_kept_revision", "The revision from which on every one is kept in the log, or 0 in the first minute.", kept},
			{"compaction_revision", "The revision below which lists and watches are no longer served.", 0},
			{"pool_max", "The most connections that the pool may have.", 4},
			{"revision", "The latest revision that this process has seen.", revision},
			{"watchers", "Watches open on the storage, below the watch cache.", int64(watchers)},
		} {
			name := "stores_storage_" + m.name
			names = append(names, name)
			want += fmt.Sprintf("# HELP %s [ALPHA] %s\n# TYPE %[1]s gauge\n%[1]s %[3]d\n", name, m.help, m.value)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
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
	check(1, revisionOf(t, pod), 0)
	if inUse := gaugeOf(t, registry, "stores_storage_pool_in_use"); inUse < 1 {
		t.Errorf("%v connections in use, one is held", inUse)
	}
	conn.Release()
	w.Stop()
	for range w.ResultChan() { // until it is over
	}
	if err := f.db.measureLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(0, revisionOf(t, pod), 2)
	for _, name := range clocked {
		gaugeOf(t, registry, name)
	}
	if bytes := gaugeOf(t, registry, "stores_storage_log_bytes"); bytes < 8192 {
		t.Errorf("the log has %v bytes", bytes)
	}
	f.cut(t, revisionOf(t, pod))
	if samples(t, "stores_storage_retention_duration_seconds")["success"] == 0 {
		t.Error("no cut was observed")
	}
	if operations := samples(t, "stores_storage_operation_duration_seconds"); operations["create"] == 0 || operations["watch"] == 0 {
		t.Errorf("operations observed: %v", operations)
	}
}
