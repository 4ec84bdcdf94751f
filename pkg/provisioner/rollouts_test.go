package provisioner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// fleet is a world of stores that sell version 2.0 and follow the engine, which is at
// 3.0. Its API counts resourceVersions; its caches see only what is shown to them.
type fleet struct {
	*world
	version int
	engine  *v1alpha1.Engine
	stores  map[string]*v1alpha1.Store
}

func newFleet(t *testing.T, stores int, rollout v1alpha1.EngineRollout) *fleet {
	t.Helper()
	f := &fleet{world: newWorld(t, testStore()), version: 100, engine: testEngine(), stores: map[string]*v1alpha1.Store{}}
	if err := f.storeIndex.Delete(testStore()); err != nil {
		t.Fatal(err)
	}
	for i := range stores {
		store := testStore()
		store.Name = fmt.Sprint("shop-", i)
		store.UID, store.Spec.UpgradePolicy = types.UID(store.Name), v1alpha1.UpgradePolicyAutomatic
		sellsNow(store)
		f.put(store)
	}
	f.api.PrependReactor("list", "stores", func(clientgotesting.Action) (bool, runtime.Object, error) {
		list := &v1alpha1.StoreList{}
		for _, s := range f.stores {
			list.Items = append(list.Items, *s)
		}
		return true, list, nil
	})
	f.api.PrependReactor("patch", "stores", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		patch := action.(clientgotesting.PatchAction)
		s := f.stores[patch.GetName()].DeepCopy()
		before := s.ResourceVersion
		if err := json.Unmarshal(patch.GetPatch(), s); err != nil {
			return true, nil, err
		}
		if s.ResourceVersion != before {
			return true, nil, apierrors.NewConflict(v1alpha1.Resource("stores"), s.Name, nil)
		}
		s.Generation++
		f.put(s)
		return true, s, nil
	})
	f.api.PrependReactor("update", "engines", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		engine := action.(clientgotesting.UpdateAction).GetObject().(*v1alpha1.Engine).DeepCopy()
		if engine.ResourceVersion != f.engine.ResourceVersion {
			return true, nil, apierrors.NewConflict(v1alpha1.Resource("engines"), engine.Name, nil)
		}
		f.engine = engine
		f.put(f.engine)
		return true, f.engine, nil
	})
	f.offer(t, func(e *v1alpha1.Engine) { e.Spec.DefaultVersion, e.Spec.Rollout = "3.0", &rollout })
	return f
}

// sellsNow makes the store ready with the version it asks for.
func sellsNow(s *v1alpha1.Store) {
	s.Status.ObservedGeneration = s.Generation
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	s.Status.Release = &v1alpha1.StoreRelease{Ready: &v1alpha1.ReadyRevision{Version: s.Spec.Version, Generation: s.Generation}}
}

// put writes an object with the next resourceVersion.
func (f *fleet) put(obj metav1.Object) {
	f.version++
	obj.SetResourceVersion(strconv.Itoa(f.version))
	if s, ok := obj.(*v1alpha1.Store); ok {
		f.stores[s.Name] = s
	}
}

// offer changes the engine.
func (f *fleet) offer(t *testing.T, edit func(*v1alpha1.Engine)) {
	t.Helper()
	f.engine = f.engine.DeepCopy()
	edit(f.engine)
	f.engine.Generation++
	f.put(f.engine)
	f.show(t)
}

// show brings the caches to the state of the API.
func (f *fleet) show(t *testing.T) {
	t.Helper()
	f.showEngine(t)
	for _, s := range f.stores {
		if err := f.storeIndex.Update(s); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fleet) showEngine(t *testing.T) {
	t.Helper()
	if err := f.informers[1].GetIndexer().Update(f.engine); err != nil {
		t.Fatal(err)
	}
}

// sellAll makes all stores ready but one that is left alone.
func (f *fleet) sellAll(t *testing.T, but string) {
	t.Helper()
	for name, s := range f.stores {
		if name != but {
			s = s.DeepCopy()
			sellsNow(s)
			f.put(s)
		}
	}
	f.show(t)
}

// rollsOut decides once, and returns how many stores there are with each version then.
func (f *fleet) rollsOut(t *testing.T) map[string]int {
	t.Helper()
	if _, err := f.rollOut(t.Context(), "medusa"); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range f.stores {
		count[s.Spec.Version]++
	}
	return count
}

func wantVersions(t *testing.T, when string, got, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: stores by version (-want +got):\n%s", when, diff)
	}
}

// What the cache has not seen yet is not decided about again.
func TestRolloutKnowsWhatItHasDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6, v1alpha1.EngineRollout{Waves: []intstr.IntOrString{intstr.FromInt32(2)}, PauseSeconds: ptr.To[int32](0)})
	wantVersions(t, "the first time", f.rollsOut(t), map[string]int{"2.0": 4, "3.0": 2})
	wantVersions(t, "with all as it was", f.rollsOut(t), map[string]int{"2.0": 4, "3.0": 2})
	f.showEngine(t)
	wantVersions(t, "with stores as they were", f.rollsOut(t), map[string]int{"2.0": 4, "3.0": 2})
	f.show(t)
	wantVersions(t, "while they are upgraded", f.rollsOut(t), map[string]int{"2.0": 4, "3.0": 2})
	f.sellAll(t, "")
	wantVersions(t, "when they are ready", f.rollsOut(t), map[string]int{"2.0": 2, "3.0": 4})
	if status := f.engine.Status.Rollout; status.Wave != 2 || status.Waves != 3 {
		t.Errorf("the engine tells of wave %d of %d, want 2 of 3", status.Wave, status.Waves)
	}
}

// A process that comes to decide knows what the one before it has done, though its
// caches do not.
func TestRolloutKnowsWhatAnotherHasDone(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(*fleet){
		"another process": func(f *fleet) { f.rollouts = newRollouts() },
		"a shard that was away": func(f *fleet) {
			f.shardMoved(0, false)
			f.shardMoved(0, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 6, v1alpha1.EngineRollout{Waves: []intstr.IntOrString{intstr.FromInt32(2)}, PauseSeconds: ptr.To[int32](0)})
			f.rollsOut(t)
			f.sellAll(t, "")
			other := newRollouts()
			f.rollouts, other = other, f.rollouts
			wantVersions(t, "by another process", f.rollsOut(t), map[string]int{"2.0": 2, "3.0": 4})
			f.showEngine(t)
			f.rollouts = other
			move(f)
			wantVersions(t, "by this one", f.rollsOut(t), map[string]int{"2.0": 2, "3.0": 4})
		})
	}
}

func TestRolloutAtRestWritesNothing(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*v1alpha1.Engine){
		"complete":   func(*v1alpha1.Engine) {},
		"paused":     func(e *v1alpha1.Engine) { e.Spec.Rollout.Paused = true },
		"no rollout": func(e *v1alpha1.Engine) { e.Spec.Rollout = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 2, v1alpha1.EngineRollout{Waves: []intstr.IntOrString{intstr.FromString("100%")}})
			f.rollsOut(t)
			f.sellAll(t, "")
			f.offer(t, edit)
			f.rollsOut(t)
			f.show(t)
			if got := f.engine.Status.Rollout; (got == nil) != (name == "no rollout") {
				t.Errorf("the engine tells of %+v", got)
			}
			f.api.ClearActions()
			if again, err := f.rollOut(t.Context(), "medusa"); err != nil || again != 0 {
				t.Errorf("again in %s, error %v", again, err)
			}
			for _, action := range f.api.Actions() {
				t.Errorf("%s %s at rest", action.GetVerb(), action.GetResource().Resource)
			}
		})
	}
}

// Nothing is done by what an engine asked for before it was changed.
func TestRolloutOfAChangedEngine(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, v1alpha1.EngineRollout{})
	f.api.PrependReactor("update", "engines", func(clientgotesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(v1alpha1.Resource("engines"), "medusa", nil)
	})
	if _, err := f.rollOut(t.Context(), "medusa"); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	for _, s := range f.stores {
		if s.Spec.Version != "2.0" {
			t.Errorf("store %s was upgraded", s.Name)
		}
	}
}

// A store that does not take the version does not keep others from it.
func TestRolloutPassesThoseWhoRefuse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, v1alpha1.EngineRollout{Waves: []intstr.IntOrString{intstr.FromInt32(1)}, PauseSeconds: ptr.To[int32](0)})
	f.api.PrependReactor("patch", "stores", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		name := action.(clientgotesting.PatchAction).GetName()
		return name == "shop-1", nil, apierrors.NewForbidden(v1alpha1.Resource("stores"), name, nil)
	})
	for range 6 {
		f.rollsOut(t)
		f.sellAll(t, "shop-1")
	}
	wantVersions(t, "at the end", f.rollsOut(t), map[string]int{"2.0": 1, "3.0": 2})
	status := f.engine.Status
	if status.Rollout.Phase != v1alpha1.RolloutComplete || status.Rollout.LeftOut != 1 || !strings.Contains(status.Rollout.Message, "team-a/shop-1") {
		t.Errorf("the engine tells of %+v", status.Rollout)
	}
	var told []string
	for len(f.events.Events) > 0 {
		event := <-f.events.Events
		if strings.Contains(event, "UpgradeRefused") || strings.Contains(event, "Wave") || strings.Contains(event, "Rollout") {
			told = append(told, strings.Join(strings.Fields(event)[:2], " "))
		}
	}
	want := []string{"Normal WaveBegun", "Normal WaveBegun", "Normal RolloutComplete"}
	i := slices.Index(told, "Warning UpgradeRefused")
	if i < 0 {
		t.Fatalf("nobody tells of the store that refuses: %v", told)
	}
	if diff := cmp.Diff(want, slices.Delete(told, i, i+1)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRolloutConditions(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, v1alpha1.EngineRollout{})
	for _, test := range []struct {
		phase v1alpha1.RolloutPhase
		want  string
	}{
		{v1alpha1.RolloutProgressing, "Reconciling=True RolledOut=False"},
		{v1alpha1.RolloutHalted, "RolledOut=False Stalled=True"},
		{v1alpha1.RolloutPaused, "RolledOut=False"},
		{v1alpha1.RolloutComplete, "RolledOut=True"},
	} {
		f.engine.Status = f.engineStatus(f.engine, &v1alpha1.RolloutStatus{Version: "3.0", Phase: test.phase})
		var got []string
		for _, c := range f.engine.Status.Conditions {
			if c.Reason != string(test.phase) {
				t.Errorf("%s of %s has reason %s", c.Type, test.phase, c.Reason)
			}
			got = append(got, c.Type+"="+string(c.Status))
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("conditions of %s (-want +got):\n%s", test.phase, diff)
		}
	}
}

// A store tells that an upgrade is to come, and of what it waits for.
func TestUpgradePending(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		edit         func(*v1alpha1.Store)
		engine       func(*v1alpha1.Engine)
		reason, says string
	}{
		{"waits", nil, nil, "WaitingForWave", "Version 3.0 comes with wave 1 of its rollout; status.rollout of engine medusa tells how far it is."},
		{"suspended", func(s *v1alpha1.Store) { s.Spec.Suspend = true }, nil, "Suspended", "Version 3.0 comes when the store is not suspended any more;"},
		{"hibernated", func(s *v1alpha1.Store) { s.Spec.PowerState = v1alpha1.PowerStateHibernated }, nil, "Hibernated", "Version 3.0 comes when the store runs again;"},
		{"keeps its version", func(s *v1alpha1.Store) { s.Spec.UpgradePolicy = v1alpha1.UpgradePolicyManual }, nil, "", ""},
		{"has come", func(s *v1alpha1.Store) { s.Spec.Version = "3.0" }, nil, "", ""},
		{"no rollout", nil, func(e *v1alpha1.Engine) { e.Spec.Rollout = nil }, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, v1alpha1.EngineRollout{})
			store := f.stores["shop-0"]
			if test.edit != nil {
				test.edit(store)
			}
			if err := f.storeIndex.Update(store); err != nil {
				t.Fatal(err)
			}
			if test.engine != nil {
				f.offer(t, test.engine)
			}
			a := &attempt{store: store}
			f.notePending(f.engine, a)
			c := a.condition(v1alpha1.ConditionUpgradePending)
			if test.reason == "" {
				wantNoCondition(t, store, v1alpha1.ConditionUpgradePending)
				return
			}
			wantCondition(t, store, v1alpha1.ConditionUpgradePending, metav1.ConditionTrue, test.reason)
			if c != nil && !strings.HasPrefix(c.Message, test.says) {
				t.Errorf("it says %q, want %q", c.Message, test.says)
			}
			store.Spec.Version = "3.0"
			f.notePending(f.engine, a)
			wantNoCondition(t, store, v1alpha1.ConditionUpgradePending)
		})
	}
}

// elsewhere is the share of a replica that has nothing.
type elsewhere struct{ alone }

func (elsewhere) Begin(types.UID) (func(), bool) { return nil, false }

func TestRolloutIsOneReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, v1alpha1.EngineRollout{})
	f.shares = elsewhere{}
	wantVersions(t, "by another replica", f.rollsOut(t), map[string]int{"2.0": 2})
}
