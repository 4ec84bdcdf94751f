package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

const (
	older = "1.0"
	newer = "2.0"
)

func engine(change func(*v1alpha1.EngineRollout)) *v1alpha1.Engine {
	e := &v1alpha1.Engine{ObjectMeta: metav1.ObjectMeta{Name: "medusa", Generation: 3}}
	e.Spec.DefaultVersion, e.Spec.Rollout = newer, &v1alpha1.EngineRollout{}
	e.Status.ObservedGeneration = 3
	if change != nil {
		change(e.Spec.Rollout)
	}
	return e
}

// shop is a store that follows and sells with the version before.
func shop(n int) *v1alpha1.Store {
	s := &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: fmt.Sprintf("shop-%03d", n), UID: types.UID(strconv.Itoa(n)), Generation: 1,
	}}
	s.Spec.Version, s.Spec.UpgradePolicy = older, v1alpha1.UpgradePolicyAutomatic
	sell(s, older)
	return s
}

// sell makes the store ready with a version since now.
func sell(s *v1alpha1.Store, version string) {
	s.Status.ObservedGeneration = s.Generation
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)}}
	s.Status.Release = &v1alpha1.StoreRelease{Ready: &v1alpha1.ReadyRevision{Version: version, Generation: s.Generation}}
}

// given is what a rollout does to a store.
func given(s *v1alpha1.Store, wave int32) {
	s.Generation++
	s.Spec.Version = newer
	s.Annotations = map[string]string{v1alpha1.AnnotationRolloutVersion: newer, v1alpha1.AnnotationRolloutWave: strconv.Itoa(int(wave))}
}

// fail returns the store to what it sold with before.
func fail(s *v1alpha1.Store) {
	sell(s, older)
	s.Status.Release.Failed = &v1alpha1.FailedUpgrade{Version: newer, Time: metav1.NewTime(now)}
	s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue})
}

// stop makes a store that was ready not ready, for good or not.
func stop(s *v1alpha1.Store, stalled bool) {
	s.Status.Conditions[0].Status = metav1.ConditionFalse
	if stalled {
		s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue})
	}
}

func shops(n int) []*v1alpha1.Store {
	var all []*v1alpha1.Store
	for i := range n {
		all = append(all, shop(i))
	}
	return inOrder(all, newer)
}

// ready are shops of which the first sell with the newer version, each with a wave.
func readyIn(n int, waves ...int32) []*v1alpha1.Store {
	all := shops(n)
	for i, wave := range waves {
		given(all[i], wave)
		sell(all[i], newer)
	}
	return all
}

func waves(sizes ...intstr.IntOrString) func(*v1alpha1.EngineRollout) {
	return func(r *v1alpha1.EngineRollout) { r.Waves = sizes }
}

func number(n int32) intstr.IntOrString      { return intstr.FromInt32(n) }
func percent(n int) intstr.IntOrString       { return intstr.FromString(strconv.Itoa(n) + "%") }
func minutes(n time.Duration) time.Time      { return now.Add(n * time.Minute) }
func changed[T any](v T, change func(v T)) T { change(v); return v }

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		engine *v1alpha1.Engine
		stores []*v1alpha1.Store
		at     time.Time
		// next is how many are to be upgraded, with the wave.
		next  int
		wave  int32
		phase v1alpha1.RolloutPhase
		again time.Duration
	}{
		{name: "no stores", engine: engine(nil), phase: v1alpha1.RolloutComplete},
		{name: "the first is one", engine: engine(nil), stores: shops(40), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "the first is not ready", engine: engine(nil), stores: changed(shops(40), func(s []*v1alpha1.Store) { given(s[0], 1) }), wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "the first is watched", engine: engine(nil), stores: readyIn(40, 1), wave: 1, phase: v1alpha1.RolloutProgressing, again: 5 * time.Minute},
		{name: "the first was watched", engine: engine(nil), stores: readyIn(40, 1), at: minutes(5), next: 2, wave: 2, phase: v1alpha1.RolloutProgressing},
		{name: "a wave goes on", engine: engine(nil), stores: readyIn(40, 1, 2), at: minutes(1), next: 1, wave: 2, phase: v1alpha1.RolloutProgressing},
		{name: "a percentage is rounded up", engine: engine(waves(percent(10))), stores: shops(41), next: 5, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "a percentage of few is one", engine: engine(waves(percent(1))), stores: shops(2), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "the last wave is repeated", engine: engine(waves(number(1), number(2))), stores: readyIn(9, 1, 2, 2), at: minutes(5), next: 2, wave: 3, phase: v1alpha1.RolloutProgressing},
		{name: "the last stores", engine: engine(waves(number(1), number(2))), stores: readyIn(4, 1, 2, 2), at: minutes(5), next: 1, wave: 3, phase: v1alpha1.RolloutProgressing},
		{name: "all at once", engine: engine(waves(percent(100))), stores: shops(8), next: 8, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "not more than ten at a time", engine: engine(waves(percent(100))), stores: shops(40), next: 10, wave: 1, phase: v1alpha1.RolloutProgressing},
		{
			name: "those at work count",
			engine: engine(func(r *v1alpha1.EngineRollout) {
				r.Waves, r.MaxConcurrency = []intstr.IntOrString{percent(100)}, ptr.To(percent(10))
			}),
			stores: changed(readyIn(40, 1, 1, 1), func(s []*v1alpha1.Store) { given(s[3], 1); given(s[4], 1); given(s[5], 1) }), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing,
		},
		{name: "done", engine: engine(nil), stores: readyIn(3, 1, 2, 2), wave: 2, phase: v1alpha1.RolloutComplete},
		{name: "the last is at work", engine: engine(nil), stores: changed(readyIn(3, 1, 2), func(s []*v1alpha1.Store) { given(s[2], 2) }), wave: 2, phase: v1alpha1.RolloutProgressing},
		{name: "paused", engine: engine(func(r *v1alpha1.EngineRollout) { r.Paused = true }), stores: shops(3), phase: v1alpha1.RolloutPaused},
		{name: "paused when all is done", engine: engine(func(r *v1alpha1.EngineRollout) { r.Paused = true }), stores: readyIn(2, 1, 2), wave: 2, phase: v1alpha1.RolloutComplete},

		{name: "the first fails", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { fail(s[0]) }), at: minutes(9), wave: 1, phase: v1alpha1.RolloutHalted},
		{name: "the first is stalled", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { sell(s[0], older); stop(s[0], true) }), at: minutes(9), wave: 1, phase: v1alpha1.RolloutHalted},
		{name: "one of twenty may fail", engine: engine(waves(number(20))), stores: changed(readyIn(40, ones(20)...), func(s []*v1alpha1.Store) { fail(s[7]) }), at: minutes(5), next: 10, wave: 2, phase: v1alpha1.RolloutProgressing},
		{name: "two of twenty may not", engine: engine(waves(number(20))), stores: changed(readyIn(40, ones(20)...), func(s []*v1alpha1.Store) { fail(s[7]); fail(s[8]) }), at: minutes(5), wave: 1, phase: v1alpha1.RolloutHalted},
		{name: "one of nineteen may not", engine: engine(waves(number(20))), stores: changed(readyIn(40, ones(19)...), func(s []*v1alpha1.Store) { fail(s[7]) }), wave: 1, phase: v1alpha1.RolloutHalted},
		{name: "as many as may", engine: engine(func(r *v1alpha1.EngineRollout) { r.MaxFailures = ptr.To(number(1)) }), stores: changed(readyIn(4, 1), func(s []*v1alpha1.Store) { fail(s[0]) }), at: minutes(5), next: 1, wave: 2, phase: v1alpha1.RolloutProgressing},
		{name: "none may", engine: engine(func(r *v1alpha1.EngineRollout) {
			r.Waves, r.MaxFailures = []intstr.IntOrString{number(30)}, ptr.To(number(0))
		}), stores: changed(readyIn(40, ones(30)...), func(s []*v1alpha1.Store) { fail(s[3]) }), wave: 1, phase: v1alpha1.RolloutHalted},
		{name: "the last ones fail", engine: engine(nil), stores: changed(readyIn(2, 1, 2), func(s []*v1alpha1.Store) { fail(s[1]) }), wave: 2, phase: v1alpha1.RolloutHalted},
		{name: "what failed is tried again", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { sell(s[0], older); stop(s[0], false) }), at: minutes(9), wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "what failed was changed", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { fail(s[0]); s[0].Generation++ }), at: minutes(9), wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "halted before it is paused", engine: engine(func(r *v1alpha1.EngineRollout) { r.Paused = true }), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { fail(s[0]) }), wave: 1, phase: v1alpha1.RolloutHalted},

		{name: "one breaks while it is watched", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { stop(s[0], false) }), at: minutes(9), wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "one stays broken", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { stop(s[0], true) }), at: minutes(9), wave: 1, phase: v1alpha1.RolloutHalted},
		{name: "one breaks after all is done", engine: engine(nil), stores: changed(readyIn(2, 1, 2), func(s []*v1alpha1.Store) { stop(s[0], true) }), wave: 2, phase: v1alpha1.RolloutComplete},
		{name: "a change of a store holds nothing up", engine: engine(nil), stores: changed(readyIn(40, 1), func(s []*v1alpha1.Store) { s[0].Generation++; stop(s[0], false) }), at: minutes(5), next: 2, wave: 2, phase: v1alpha1.RolloutProgressing},

		{name: "those who wait are not ready", engine: engine(nil), stores: changed(shops(3), func(s []*v1alpha1.Store) { stop(s[0], false); stop(s[1], true); s[2].Generation++ }), phase: v1alpha1.RolloutComplete},
		{name: "those who wait are stopped", engine: engine(nil), stores: changed(shops(2), func(s []*v1alpha1.Store) {
			s[0].Spec.Suspend, s[1].Spec.PowerState = true, v1alpha1.PowerStateHibernated
		}), phase: v1alpha1.RolloutComplete},
		{name: "a version that is not offered any more", engine: engine(nil), stores: changed(shops(1), func(s []*v1alpha1.Store) {
			stop(s[0], true)
			s[0].Status.Conditions[0].Reason = v1alpha1.ReasonVersionNotOffered
		}), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "one comes later", engine: engine(nil), stores: readyIn(4, 1, 2, 3), at: minutes(5), next: 1, wave: 4, phase: v1alpha1.RolloutProgressing},
		{name: "the pinned and those who go", engine: engine(nil), stores: changed(shops(2), func(s []*v1alpha1.Store) {
			s[0].Spec.UpgradePolicy, s[1].DeletionTimestamp = v1alpha1.UpgradePolicyManual, &metav1.Time{Time: now}
		}), phase: v1alpha1.RolloutComplete},
		{name: "new stores are no trial", engine: engine(nil), stores: changed(shops(3), func(s []*v1alpha1.Store) {
			s[0].Spec.Version = newer
			sell(s[0], newer)
		}), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "an earlier rollout is no trial", engine: engine(nil), stores: changed(shops(3), func(s []*v1alpha1.Store) {
			s[0].Spec.Version = newer
			sell(s[0], newer)
			s[0].Annotations = map[string]string{v1alpha1.AnnotationRolloutVersion: older, v1alpha1.AnnotationRolloutWave: "3"}
		}), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "one that failed with what was before", engine: engine(nil), stores: changed(shops(1), func(s []*v1alpha1.Store) {
			s[0].Spec.Version = "broken"
			fail(s[0])
		}), next: 1, wave: 1, phase: v1alpha1.RolloutProgressing},
		{name: "the time that was told", engine: changed(engine(nil), func(e *v1alpha1.Engine) {
			e.Status.Rollout = &v1alpha1.RolloutStatus{Version: newer, Wave: 1, NextWaveTime: &metav1.Time{Time: minutes(1)}}
		}), stores: readyIn(40, 1), at: minutes(1), next: 2, wave: 2, phase: v1alpha1.RolloutProgressing},
		{name: "the time that was told before the engine changed", engine: changed(engine(nil), func(e *v1alpha1.Engine) {
			e.Status.Rollout = &v1alpha1.RolloutStatus{Version: newer, Wave: 1, NextWaveTime: &metav1.Time{Time: minutes(1)}}
			e.Status.ObservedGeneration = 2
		}), stores: readyIn(40, 1), at: minutes(1), wave: 1, phase: v1alpha1.RolloutProgressing, again: 4 * time.Minute},
		{name: "the time that was told of another wave", engine: changed(engine(nil), func(e *v1alpha1.Engine) {
			e.Status.Rollout = &v1alpha1.RolloutStatus{Version: newer, Wave: 1, NextWaveTime: &metav1.Time{Time: minutes(1)}}
		}), stores: readyIn(40, 1, 2, 2), at: minutes(1), wave: 2, phase: v1alpha1.RolloutProgressing, again: 4 * time.Minute},
		{name: "suspended before its turn came, after it had failed with another version", engine: engine(nil), stores: changed(readyIn(1, 1), func(s []*v1alpha1.Store) {
			fail(s[0])
			s[0].Status.Release.Failed.Version, s[0].Status.Conditions[1].Status = "broken", metav1.ConditionFalse
			s[0].Spec.Suspend = true
		}), wave: 1, phase: v1alpha1.RolloutComplete},
		{name: "no pause", engine: engine(func(r *v1alpha1.EngineRollout) { r.PauseSeconds = ptr.To[int32](0) }), stores: readyIn(40, 1), next: 2, wave: 2, phase: v1alpha1.RolloutProgressing},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := test.at
			if at.IsZero() {
				at = now
			}
			d := Decide(test.engine, test.stores, nil, at)
			got := fmt.Sprintf("%s, wave %d, %d next, again in %s", d.Status.Phase, d.Status.Wave, len(d.Next), d.Again)
			if want := fmt.Sprintf("%s, wave %d, %d next, again in %s", test.phase, test.wave, test.next, test.again); got != want {
				t.Errorf("%s, want %s; %s", got, want, d.Status.Message)
			}
			if s := d.Status; s.Total != s.Updated+s.Waiting+s.LeftOut {
				t.Errorf("the counts do not add up: %+v", s)
			}
			for _, s := range d.Next {
				if stageOf(s, newer) != waiting {
					t.Errorf("%s is not one that waits", s.Name)
				}
			}
		})
	}
}

func ones(n int) []int32 { return slices.Repeat([]int32{1}, n) }

// A rollout comes to its end from whatever it was cut off at: it is decided from
// nothing but the stores, each time as by a process that has just begun.
func TestDecideToTheEnd(t *testing.T) {
	t.Parallel()
	e := engine(func(r *v1alpha1.EngineRollout) {
		r.Waves, r.MaxConcurrency = []intstr.IntOrString{number(1), percent(20), percent(50)}, ptr.To(number(3))
	})
	stores, at, most := shops(12), now, 0
	planned := Waves(e, stores)
	for range 100 {
		d := Decide(e, stores, nil, at)
		if d.Status.Phase == v1alpha1.RolloutComplete {
			break
		}
		at = at.Add(d.Again)
		// One of those whose turn it is comes through before the process dies.
		if len(d.Next) > 0 {
			given(d.Next[0], d.Status.Wave)
		}
		working := 0
		for _, s := range stores {
			if s.Spec.Version == newer && s.Status.ObservedGeneration != s.Generation {
				working++
			}
		}
		most = max(most, working)
		if len(d.Next) <= 1 {
			for _, s := range stores {
				if s.Spec.Version == newer {
					sell(s, newer)
				}
			}
		}
	}
	came := map[types.UID]int32{}
	sizes := map[int32]int{}
	for _, s := range stores {
		came[s.UID] = waveOf(s, newer)
		sizes[waveOf(s, newer)]++
	}
	if diff := cmp.Diff(map[int32]int{1: 1, 2: 3, 3: 6, 4: 2}, sizes); diff != "" {
		t.Errorf("waves (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(planned, came); diff != "" {
		t.Errorf("stores came with other waves than was told (-told +came):\n%s", diff)
	}
	if most > 3 {
		t.Errorf("%d stores were upgraded at once, want 3 at most", most)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	stores := shops(2)
	d := Decide(engine(nil), stores, sets.New(stores[0].UID), now)
	if len(d.Next) != 1 || d.Next[0] != stores[1] || d.Status.LeftOut != 1 {
		t.Errorf("next are %v, left out %d: want the other one", d.Next, d.Status.LeftOut)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	failing := readyIn(20, ones(8)...)
	for _, s := range failing[:7] {
		fail(s)
	}
	d := Decide(engine(waves(number(8))), failing, nil, now)
	for _, part := range []string{"7 of 8 upgrades to 2.0 failed", "maxFailures is 5%", "team/shop-", "and 2 more", "raise spec.rollout.maxFailures"} {
		if !strings.Contains(d.Status.Message, part) {
			t.Errorf("halted says %q, without %q", d.Status.Message, part)
		}
	}
	left := readyIn(2, 1)
	left[1].Spec.Suspend = true
	if d := Decide(engine(nil), left, nil, now); !strings.Contains(d.Status.Message, "suspended, hibernated, not ready or refused: team/"+left[1].Name) {
		t.Errorf("complete says %q, and not who is left out", d.Status.Message)
	}
}

func TestOrderDiffers(t *testing.T) {
	t.Parallel()
	name := func(s []*v1alpha1.Store) []types.UID {
		var uids []types.UID
		for _, s := range s {
			uids = append(uids, s.UID)
		}
		return uids
	}
	stores := shops(30)
	slices.Reverse(stores)
	if diff := cmp.Diff(name(shops(30)), name(inOrder(stores, newer))); diff != "" {
		t.Errorf("the order depends on how stores are listed:\n%s", diff)
	}
	if slices.Equal(name(inOrder(stores, "3.0")), name(inOrder(stores, newer))) {
		t.Error("the same shops are first with every version")
	}
}
