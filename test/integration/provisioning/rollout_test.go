package provisioning

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// A version that fails stops at the first store. The one after it comes to all that
// follow in waves, never to too many at once, whoever decides and dies meanwhile.
func TestRolloutGoesInWavesAndHalts(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 10), &record{}
	first, second := startReplica(t, "first", record), startReplica(t, "second", record)
	changeEngine(t, engine, func(s *v1alpha1.EngineSpec) {
		s.Rollout = &v1alpha1.EngineRollout{
			Waves:          []intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("20%"), intstr.FromInt32(4)},
			MaxConcurrency: ptr.To(intstr.FromInt32(2)), PauseSeconds: ptr.To[int32](0),
		}
	})
	names := createMany(t, namespace, "shop", engine, 12)
	create(t, namespace, "pinned", engine, func(s *v1alpha1.StoreSpec) { s.Version = "1.0" })
	create(t, namespace, "suspended", engine)
	allReady(t, namespace, append(names, "pinned", "suspended"))
	change(t, namespace, "suspended", func(s *v1alpha1.StoreSpec) { s.Suspend = true })

	changeEngine(t, engine, func(s *v1alpha1.EngineSpec) { s.DefaultVersion = "unpullable" })
	rolledTo(t, engine, "unpullable", v1alpha1.RolloutHalted)
	if diff := cmp.Diff(map[string]int{"1.0": 13, "unpullable": 1}, versions(t, namespace)); diff != "" {
		t.Errorf("stores by the version they ask for, when the first has failed (-want +got):\n%s", diff)
	}
	waiting := 0
	for _, name := range append(names, "suspended") {
		store := until(t, namespace, name, patience, func(s *v1alpha1.Store) bool {
			return s.Status.Version == "1.0" && (s.Spec.Version == "1.0") == (condition(s, v1alpha1.ConditionUpgradePending) != nil)
		})
		if c := condition(store, v1alpha1.ConditionUpgradePending); c != nil && c.Reason == "WaitingForWave" && strings.Contains(c.Message, "Version unpullable comes with wave ") {
			waiting++
		}
	}
	if waiting != 11 {
		t.Errorf("%d stores tell that they wait for their wave, want 11", waiting)
	}

	most := countAtWork(t, namespace, "2.0")
	changeEngine(t, engine, func(s *v1alpha1.EngineSpec) { s.DefaultVersion = "2.0" })
	harness.Eventually(t, patience, "the second wave", func(ctx context.Context) (bool, error) {
		e, err := harness.Platform(t, env.Admin()).Engines().Get(ctx, engine.Name, metav1.GetOptions{})
		return err == nil && e.Status.Rollout.Version == "2.0" && e.Status.Rollout.Wave == 2, err
	})
	first.kill()
	second.kill()
	startReplica(t, "third", record)
	cleanUp(t, namespace)
	status := rolledTo(t, engine, "2.0", v1alpha1.RolloutComplete)
	if status.Total != 13 || status.Updated != 12 || status.Ready != 12 || status.LeftOut != 1 || status.Failed != 0 {
		t.Errorf("the rollout ended with %+v", status)
	}
	if diff := cmp.Diff(map[string]int{"1.0": 2, "2.0": 12}, versions(t, namespace)); diff != "" {
		t.Errorf("stores by the version they ask for, at the end (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"": 2, "1": 1, "2": 3, "3": 4, "4": 4}, waves(t, namespace, "2.0")); diff != "" {
		t.Errorf("stores by their wave (-want +got):\n%s", diff)
	}
	if got := most(); got != 2 {
		t.Errorf("%d stores were upgraded at once, want 2", got)
	}
	allReady(t, namespace, names)

	change(t, namespace, "suspended", func(s *v1alpha1.StoreSpec) { s.Suspend = false })
	store := until(t, namespace, "suspended", patience, func(s *v1alpha1.Store) bool {
		c := condition(s, v1alpha1.ConditionReady)
		return s.Status.Version == "2.0" && c.Status == metav1.ConditionTrue && c.ObservedGeneration == s.Generation
	})
	if c := condition(store, v1alpha1.ConditionUpgradePending); c != nil {
		t.Errorf("a store that was upgraded still tells %q", c.Message)
	}
	if pinned := ready(t, namespace, "pinned", metav1.ConditionTrue); pinned.Generation != 1 || condition(pinned, v1alpha1.ConditionUpgradePending) != nil {
		t.Errorf("the store that keeps its version has generation %d and %s", pinned.Generation, conditionsOf(pinned))
	}
}

// A rollout that is halted goes on when the version is corrected: the store that has
// failed is tried again, and then the others come.
func TestRolloutGoesOnAfterACorrection(t *testing.T) {
	namespace, engine := env.NewNamespace(t), tinyEngine(t, 10)
	startReplica(t, "a", &record{})
	cleanUp(t, namespace)
	changeEngine(t, engine, func(s *v1alpha1.EngineSpec) { s.Rollout = &v1alpha1.EngineRollout{PauseSeconds: ptr.To[int32](0)} })
	names := createMany(t, namespace, "shop", engine, 4)
	allReady(t, namespace, names)

	changeEngine(t, engine, func(s *v1alpha1.EngineSpec) { s.DefaultVersion = "broken" })
	status := rolledTo(t, engine, "broken", v1alpha1.RolloutHalted)
	if !strings.Contains(status.Message, "1 of 1 upgrades to broken failed") || !strings.Contains(status.Message, namespace+"/shop-") {
		t.Errorf("the rollout says %q", status.Message)
	}
	// Who takes a store out of the rollout keeps it.
	change(t, namespace, names[0], func(s *v1alpha1.StoreSpec) { s.Version = "2.0" })
	changeEngine(t, engine, func(s *v1alpha1.EngineSpec) {
		for i := range s.Versions {
			if s.Versions[i].Name == "broken" {
				s.Versions[i].Values = &runtime.RawExtension{Raw: []byte(`{"image":"shop:3"}`)}
			}
		}
	})
	rolledTo(t, engine, "broken", v1alpha1.RolloutComplete)
	if diff := cmp.Diff(map[string]int{"2.0": 1, "broken": 3}, versions(t, namespace)); diff != "" {
		t.Errorf("stores by the version they ask for (-want +got):\n%s", diff)
	}
	if store := ready(t, namespace, names[0], metav1.ConditionTrue); store.Spec.UpgradePolicy != v1alpha1.UpgradePolicyManual {
		t.Errorf("a store that was given another version has upgradePolicy %s", store.Spec.UpgradePolicy)
	}
}

func changeEngine(t *testing.T, engine *v1alpha1.Engine, edit func(*v1alpha1.EngineSpec)) {
	t.Helper()
	harness.Eventually(t, patience, "the change of engine "+engine.Name, func(ctx context.Context) (bool, error) {
		e, err := harness.Platform(t, env.Admin()).Engines().Get(ctx, engine.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		edit(&e.Spec)
		_, err = harness.Platform(t, env.Admin()).Engines().Update(ctx, e, metav1.UpdateOptions{})
		return err == nil, nil
	})
}

// rolledTo waits for the rollout of a version to get to a phase.
func rolledTo(t *testing.T, engine *v1alpha1.Engine, version string, phase v1alpha1.RolloutPhase) v1alpha1.RolloutStatus {
	t.Helper()
	var last *v1alpha1.Engine
	defer func() {
		if t.Failed() {
			t.Logf("the engine's status is %+v, %+v", last.Status, last.Status.Rollout)
		}
	}()
	harness.Eventually(t, patience, fmt.Sprintf("the rollout of %s to be %s", version, phase), func(ctx context.Context) (bool, error) {
		e, err := harness.Platform(t, env.Admin()).Engines().Get(ctx, engine.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		last = e
		return e.Status.ObservedGeneration == e.Generation && e.Status.Rollout != nil &&
			e.Status.Rollout.Version == version && e.Status.Rollout.Phase == phase, nil
	})
	return *last.Status.Rollout
}

func storesIn(t *testing.T, namespace string) []v1alpha1.Store {
	t.Helper()
	list, err := harness.Platform(t, env.Admin()).Stores(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// versions counts stores by the version they ask for.
func versions(t *testing.T, namespace string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, s := range storesIn(t, namespace) {
		count[s.Spec.Version]++
	}
	return count
}

// waves counts stores by the wave with which they came to a version.
func waves(t *testing.T, namespace, version string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, s := range storesIn(t, namespace) {
		wave := s.Annotations[v1alpha1.AnnotationRolloutWave]
		if s.Annotations[v1alpha1.AnnotationRolloutVersion] != version {
			wave = ""
		}
		count[wave]++
	}
	return count
}

// countAtWork watches how many stores ask for a version and have not been ready with
// it, from now until the function that it returns is called, which returns the most.
func countAtWork(t *testing.T, namespace, version string) func() int {
	t.Helper()
	watcher, err := harness.Platform(t, env.Admin()).Stores(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counted := make(chan int)
	go func() {
		most, working := 0, map[string]bool{}
		for event := range watcher.ResultChan() {
			if s, ok := event.Object.(*v1alpha1.Store); ok && event.Type != watch.Deleted {
				delete(working, s.Name)
				if release := s.Status.Release; s.Spec.Version == version && (release == nil || release.Ready == nil || release.Ready.Version != version) {
					working[s.Name] = true
				}
				most = max(most, len(working))
			}
		}
		counted <- most
	}()
	return func() int {
		watcher.Stop()
		return <-counted
	}
}
