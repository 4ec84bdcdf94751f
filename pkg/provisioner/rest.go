package provisioner

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// rested is what there was before a reconciliation that found all to be done, or all
// but the storefront. Until some of it changes nothing is read again but that: a shop
// that sells, or is about to, costs the API server its watches and no more.
type rested struct {
	state
	// release is the newest revision.
	release *helm.Release
}

// state is what decides what is to be done.
type state struct {
	generation int64 // of the store
	engine     types.UID
	offer      int64 // the engine's generation
	change     int64 // the last in the store's namespace
}

// stateOf is what there is now, by the last change that matters.
func (a *attempt) stateOf(change int64) state {
	return state{a.store.Generation, a.engine.UID, a.engine.Generation, change}
}

// rests is true if all is as it was when all was done, and the storefront answers; it
// is to be asked again then. If only the storefront did not answer, the attempt begins
// with that.
func (c *Controller) rests(a *attempt) (again time.Duration, ok bool) {
	// Before anything is read: what changes later is looked at once more.
	a.foundation = rested{state: a.stateOf(c.watches.lastButRuns(a.namespace))}
	a.rest = rested{state: a.stateOf(c.watches.lastOfAll(a.namespace))}
	if a.memory.founded.covers(a.foundation.state) {
		a.foundation, a.founded = a.memory.founded, true
		a.release, a.releaseRead = a.foundation.release, true
	}
	if a.memory.rested.covers(a.rest.state) {
		if !a.isTrue(v1alpha1.ConditionReady) {
			a.rest, a.firstStep = a.memory.rested, slices.Index(stepNames, v1alpha1.ConditionStorefrontReady)
			a.release, a.releaseRead = a.rest.release, true
		} else if r := c.storefrontReady(a); r.outcome == outcomeDone {
			return r.again, true
		}
	}
	a.memory.rested = rested{}
	return 0, false
}

// noteFoundation remembers that the release is installed, on credentials that are complete:
// while a shop comes up, what runs tells of itself and nothing else is read again.
func (a *attempt) noteFoundation(r result) {
	a.memory.founded = rested{}
	if r.outcome == outcomeDone && !r.tookBack {
		a.foundation.release = a.release
		a.memory.founded = a.foundation
	}
}

// noteRest remembers what there was before the attempt, unless something of the store
// changes unseen.
func (a *attempt) noteRest() {
	if !a.unwatched {
		a.rest.release = a.release
		a.memory.rested = a.rest
	}
}

// covers is true if all is as it was, and somebody watches it.
func (r rested) covers(s state) bool { return r.state == s && s.change != 0 }
