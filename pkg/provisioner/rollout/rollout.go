// Package rollout decides how the stores of an engine come to its default version:
// which are upgraded next, and when no more are.
//
// It is a function of the engine, its stores and the time. How far a rollout has come
// is in the stores: each carries the version and the wave that it was given together
// with its new spec. So whoever decides next, after a crash too, goes on from there.
package rollout

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// What a rollout does that says nothing else.
var (
	defaultWaves          = []intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("5%"), intstr.FromString("25%")}
	defaultMaxConcurrency = intstr.FromInt32(10)
	defaultMaxFailures    = intstr.FromString("5%")
	defaultPauseSeconds   = int32(300)
)

// maxNamed is how many stores a message names.
const maxNamed = 5

// Decision is what is to be done.
type Decision struct {
	// Status is what the engine is to say before anything is done.
	Status v1alpha1.RolloutStatus
	// Next are the stores to upgrade now, with the wave of Status.
	Next []*v1alpha1.Store
	// Again is when to decide again though nothing changes; 0 is never.
	Again time.Duration
}

// Follows is true for a store that a rollout of its engine upgrades.
func Follows(s *v1alpha1.Store) bool {
	return s.Spec.UpgradePolicy == v1alpha1.UpgradePolicyAutomatic && s.DeletionTimestamp == nil
}

// Pending is true for a store that follows the default version of the engine and has
// not come to it.
func Pending(engine *v1alpha1.Engine, s *v1alpha1.Store) bool {
	return engine.Spec.Rollout != nil && Follows(s) && s.Spec.Version != engine.Spec.DefaultVersion
}

// Parked is true for a store that nobody should touch now.
func Parked(s *v1alpha1.Store) bool {
	return s.Spec.Suspend || s.Spec.PowerState == v1alpha1.PowerStateHibernated
}

// stage is how far a store has come to a version.
type stage int

const (
	// waiting is a store that can be upgraded, leftOut one that cannot as it is.
	waiting stage = iota
	leftOut
	// upgrading has not been ready with the version so far.
	upgrading
	ready
	// failed has never been ready with the version, and will not be without help.
	failed
	// unwell was ready with the version, and is not any more, and broken is so for good.
	unwell
	broken
	// resting is at the version and of no interest: somebody has changed it since, or
	// has stopped it.
	resting
)

// stageOf looks at a store that follows.
func stageOf(s *v1alpha1.Store, version string) stage {
	observed := s.Status.ObservedGeneration == s.Generation
	sells := observed && meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionReady)
	if s.Spec.Version != version {
		if Parked(s) || !sells && (!observed || !retired(s)) {
			return leftOut
		}
		return waiting
	}
	var was *v1alpha1.ReadyRevision
	var taken *v1alpha1.FailedUpgrade
	if release := s.Status.Release; release != nil {
		was, taken = release.Ready, release.Failed
	}
	wasReady := was != nil && was.Version == version
	stalled := observed && meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case !wasReady && (stalled || observed && taken != nil && taken.Version == version):
		return failed
	case wasReady && sells:
		return ready
	case Parked(s) || wasReady && was.Generation != s.Generation:
		return resting
	case wasReady && stalled:
		return broken
	case wasReady:
		return unwell
	}
	return upgrading
}

// retired is true for a store whose version the engine has stopped to offer: what it
// needs is another.
func retired(s *v1alpha1.Store) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Reason == v1alpha1.ReasonVersionNotOffered
}

// fleet is the stores that follow an engine's default version, by their stages.
type fleet struct {
	engine *v1alpha1.Engine
	total  int
	// stages are all of the stores, in order.
	stages map[stage][]*v1alpha1.Store
	// wave is the last wave that was begun and inWave the stores that came with it.
	wave   int32
	inWave []*v1alpha1.Store
	// begun is how many stores the rollout has upgraded. Those of them that are in the
	// way are these.
	begun                             int
	upgrading, failed, unwell, broken []*v1alpha1.Store
}

func newFleet(engine *v1alpha1.Engine, stores []*v1alpha1.Store, refused sets.Set[types.UID]) *fleet {
	version := engine.Spec.DefaultVersion
	f := &fleet{engine: engine, stages: map[stage][]*v1alpha1.Store{}}
	for _, s := range inOrder(stores, version) {
		if !Follows(s) {
			continue
		}
		f.total++
		stage := stageOf(s, version)
		if stage == waiting && refused.Has(s.UID) {
			stage = leftOut
		}
		f.stages[stage] = append(f.stages[stage], s)
		if wave := waveOf(s, version); wave > 0 {
			f.add(s, wave, stage)
		}
	}
	return f
}

// add counts a store that came with a wave.
func (f *fleet) add(s *v1alpha1.Store, wave int32, stage stage) {
	f.begun++
	if wave > f.wave {
		f.wave, f.inWave = wave, nil
	}
	if wave == f.wave {
		f.inWave = append(f.inWave, s)
	}
	switch stage {
	case upgrading:
		f.upgrading = append(f.upgrading, s)
	case failed:
		f.failed = append(f.failed, s)
	case unwell:
		f.unwell = append(f.unwell, s)
	case broken:
		f.broken = append(f.broken, s)
	}
}

// waveOf is the wave with which the store came to the version, or 0.
func waveOf(s *v1alpha1.Store, version string) int32 {
	if s.Spec.Version != version || s.Annotations[v1alpha1.AnnotationRolloutVersion] != version {
		return 0
	}
	wave, err := strconv.ParseInt(s.Annotations[v1alpha1.AnnotationRolloutWave], 10, 32)
	if err != nil {
		return 0
	}
	return int32(wave)
}

// inOrder sorts stores as they are upgraded. The order is another for each version,
// so that not always the same shops are the first.
func inOrder(stores []*v1alpha1.Store, version string) []*v1alpha1.Store {
	rank := make(map[types.UID]uint64, len(stores))
	for _, s := range stores {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(version + "/" + string(s.UID)))
		rank[s.UID] = hash.Sum64()
	}
	return slices.SortedFunc(slices.Values(stores), func(a, b *v1alpha1.Store) int {
		switch ra, rb := rank[a.UID], rank[b.UID]; {
		case ra < rb:
			return -1
		case ra > rb:
			return 1
		}
		return strings.Compare(string(a.UID), string(b.UID))
	})
}

// size is how many stores the wave is for.
func (f *fleet) size(wave int32) int {
	waves := f.engine.Spec.Rollout.Waves
	if len(waves) == 0 {
		waves = defaultWaves
	}
	return scaled(waves[min(int(wave), len(waves))-1], f.total, true)
}

func scaled(value intstr.IntOrString, of int, up bool) int {
	// Validation lets nothing else in, and nothing is the safe answer.
	n, _ := intstr.GetScaledValueFromIntOrPercent(&value, of, up)
	return n
}

// room is how many stores the wave still takes.
func (f *fleet) room() int {
	if f.wave == 0 {
		return 0
	}
	return max(0, f.size(f.wave)-len(f.inWave))
}

// Waves are the waves that the stores that wait will come with, as it looks now.
func Waves(engine *v1alpha1.Engine, stores []*v1alpha1.Store) map[types.UID]int32 {
	waves, _ := newFleet(engine, stores, nil).plan()
	return waves
}

// plan divides those who wait into waves, and returns the last one.
func (f *fleet) plan() (map[types.UID]int32, int32) {
	waves := map[types.UID]int32{}
	wave, room := f.wave, f.room()
	for _, s := range f.stages[waiting] {
		if room == 0 {
			wave++
			room = f.size(wave)
		}
		waves[s.UID] = wave
		room--
	}
	return waves, wave
}

// Decide says what is to be done for an engine with a rollout, of whose stores those
// that are refused do not take the version.
func Decide(engine *v1alpha1.Engine, stores []*v1alpha1.Store, refused sets.Set[types.UID], now time.Time) Decision {
	f := newFleet(engine, stores, refused)
	_, waves := f.plan()
	d := Decision{Status: v1alpha1.RolloutStatus{
		Version: engine.Spec.DefaultVersion, Wave: f.wave, Waves: waves,
		Total: int32(f.total), Waiting: f.count(waiting), LeftOut: f.count(leftOut),
		Ready: f.count(ready), Failed: int32(len(f.failed) + len(f.broken)),
	}}
	d.Status.Updated = d.Status.Total - d.Status.Waiting - d.Status.LeftOut
	atWork := len(f.upgrading) + len(f.stages[waiting])
	switch {
	case f.tooMany(atWork > 0):
		d.halt(f)
	case atWork == 0:
		d.complete(f)
	case engine.Spec.Rollout.Paused:
		d.Status.Phase = v1alpha1.RolloutPaused
		d.Status.Message = fmt.Sprintf("No upgrade is begun while spec.rollout.paused is true; stores that wait: %d.", d.Status.Waiting)
	default:
		d.goOn(f, now)
	}
	return d
}

func (f *fleet) count(s stage) int32 { return int32(len(f.stages[s])) }

// tooMany is true if more upgrades have failed than may. A shop that breaks later
// counts while there are others to be spared.
func (f *fleet) tooMany(toSpare bool) bool {
	bad := len(f.failed)
	if toSpare {
		bad += len(f.broken)
	}
	return bad > scaled(f.maxFailures(), f.begun, false)
}

func (f *fleet) maxFailures() intstr.IntOrString {
	return ptr.Deref(f.engine.Spec.Rollout.MaxFailures, defaultMaxFailures)
}

func (d *Decision) halt(f *fleet) {
	d.Status.Phase = v1alpha1.RolloutHalted
	limit := f.maxFailures()
	d.Status.Message = fmt.Sprintf("%d of %d upgrades to %s failed, and spec.rollout.maxFailures is %s: %s. "+
		"Correct the version or the stores, set another spec.defaultVersion, or raise spec.rollout.maxFailures, and it goes on.",
		d.Status.Failed, f.begun, d.Status.Version, limit.String(), names(append(slices.Clone(f.failed), f.broken...)))
}

func (d *Decision) complete(f *fleet) {
	d.Status.Phase = v1alpha1.RolloutComplete
	d.Status.Message = fmt.Sprintf("Stores that follow and ask for version %s: %d.", d.Status.Version, d.Status.Updated)
	if d.Status.Failed > 0 {
		d.Status.Message += fmt.Sprintf(" Of them failed: %s.", names(append(slices.Clone(f.failed), f.broken...)))
	}
	if left := f.stages[leftOut]; len(left) > 0 {
		d.Status.Message += fmt.Sprintf(" Left out until they can be upgraded, being suspended, hibernated, not ready or refused: %s.", names(left))
	}
}

// goOn upgrades as many of the wave as may be at a time. The next wave begins when
// this one has been ready for long enough.
func (d *Decision) goOn(f *fleet, now time.Time) {
	d.Status.Phase = v1alpha1.RolloutProgressing
	room := f.room()
	if room == 0 && len(f.upgrading) == 0 {
		if !d.watched(f, now) {
			return
		}
		d.Status.Wave++
		room = f.size(d.Status.Wave)
	}
	most := scaled(ptr.Deref(f.engine.Spec.Rollout.MaxConcurrency, defaultMaxConcurrency), f.total, true)
	d.Next = f.stages[waiting][:min(len(f.stages[waiting]), room, max(0, most-len(f.upgrading)))]
	d.Status.Message = fmt.Sprintf("Wave %d of %d is being upgraded.", d.Status.Wave, d.Status.Waves)
}

// watched is true once the stores of a wave that is done, if there is one, have been
// watched for long enough.
func (d *Decision) watched(f *fleet, now time.Time) bool {
	if len(f.unwell) > 0 {
		d.Status.Message = fmt.Sprintf("Wave %d of %d is done. The next waits for stores that were ready with version %s and are not any more: %s.",
			f.wave, d.Status.Waves, d.Status.Version, names(f.unwell))
		return false
	}
	next := metav1.NewTime(f.finished().Add(f.pause())).Rfc3339Copy()
	last := f.engine.Status.Rollout
	if last != nil && last.NextWaveTime != nil && last.Version == d.Status.Version && last.Wave == f.wave &&
		f.engine.Status.ObservedGeneration == f.engine.Generation {
		// Whoever changes a store meanwhile does not begin the pause anew.
		next = *last.NextWaveTime
	}
	d.Again = next.Sub(now)
	if d.Again <= 0 {
		d.Again = 0
		return true
	}
	d.Status.NextWaveTime = &next
	d.Status.Message = fmt.Sprintf("Wave %d of %d is done. The next begins at %s if nothing happens until then.",
		f.wave, d.Status.Waves, next.UTC().Format(time.RFC3339))
	return false
}

func (f *fleet) pause() time.Duration {
	return time.Duration(ptr.Deref(f.engine.Spec.Rollout.PauseSeconds, defaultPauseSeconds)) * time.Second
}

// finished is when the last store of the wave came to its end.
func (f *fleet) finished() time.Time {
	var last time.Time
	for _, s := range f.inWave {
		for _, at := range ends(s) {
			if at.After(last) {
				last = at
			}
		}
	}
	return last
}

// ends are when the store became ready, and when its upgrade had failed.
func ends(s *v1alpha1.Store) []time.Time {
	var times []time.Time
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		times = append(times, c.LastTransitionTime.Time)
	}
	if s.Status.Release != nil && s.Status.Release.Failed != nil {
		times = append(times, s.Status.Release.Failed.Time.Time)
	}
	return times
}

// names names a few stores and counts the rest.
func names(stores []*v1alpha1.Store) string {
	var all []string
	for _, s := range stores {
		all = append(all, s.Namespace+"/"+s.Name)
	}
	slices.Sort(all)
	if more := len(all) - maxNamed; more > 0 {
		all = append(all[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}
