package provisioner

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

const (
	// upgradeAttempts is how often a Helm upgrade may fail before the store
	// returns to what it ran before.
	upgradeAttempts = 3
	// defaultDeadline is the progress deadline of an engine that names none.
	defaultDeadline = 10 * time.Minute
)

// An upgrade that has failed is taken back in two moves, each of which can be
// repeated: first status.release.failed says so, then the release is rolled back
// to the revision that was ready last. It holds for as long as the store asks for
// exactly what has failed.

// everReady is true if the shop was ready before.
func (a *attempt) everReady() bool {
	return a.store.Status.Release != nil && a.store.Status.Release.Ready != nil
}

// takenBack is true if what the store asks for has failed.
func (a *attempt) takenBack() bool {
	if !a.everReady() {
		return false
	}
	failed := a.store.Status.Release.Failed
	return failed != nil && a.request != nil && failed.Digest == a.goal()
}

// goal identifies what the store asks for: the chart and the values, or a backup's
// data and the version that goes with it. The version without the data is another
// goal, which only an edit of the store can mean, and no change of the engine.
func (a *attempt) goal() string {
	if a.restorePending() || a.restoreFailed() {
		return fmt.Sprintf("%s generation %d", restoreID(a.store.Spec.Restore), a.store.Generation)
	}
	return contentDigest(a.request.Labels)
}

// dataReplaced is true from a restore until the shop is ready with the data: what
// was ready before must not run on it.
func (a *attempt) dataReplaced() bool {
	return a.everReady() && a.store.Status.Release.Ready.DataReplaced
}

// asksForReady is true if the store asks for what was ready last.
func (a *attempt) asksForReady() bool {
	return a.everReady() && a.request != nil && a.store.Status.Release.Ready.Digest == contentDigest(a.request.Labels)
}

// mayTakeBack is true if there is something to return to: what was ready before,
// and is not the same. A hibernated shop is not woken by returning.
func (c *Controller) mayTakeBack(a *attempt) bool {
	return a.everReady() && a.request != nil && !a.dataReplaced() && (a.restorePending() || !a.asksForReady()) &&
		!a.takenBack() && a.store.Spec.PowerState != v1alpha1.PowerStateHibernated
}

// takeBack notes that the upgrade has failed. The next attempt returns.
func (c *Controller) takeBack(a *attempt, why string) result {
	status := a.releaseStatus()
	status.Failed = &v1alpha1.FailedUpgrade{
		Digest: a.goal(), Version: a.store.Spec.Version, Plan: a.store.Spec.Plan,
		Message: clip(why), ReturnedTo: status.Ready.Revision, Time: c.timestamp(),
	}
	return failed("UpgradeFailed", why, time.Millisecond)
}

// returnRelease rolls the release back to what was ready before the upgrade that
// has failed. The store then serves as before, and says what happened.
func (c *Controller) returnRelease(ctx context.Context, a *attempt) (result, error) {
	status := a.releaseStatus()
	to, goal := int(status.Failed.ReturnedTo), "return to "+status.Ready.Digest
	act := func() (*helm.Release, error) { return c.helm.Rollback(ctx, a.namespace, ReleaseName, to) }
	if a.release.Status == helm.StatusDeployed && contentDigest(a.release.Labels) == status.Ready.Digest {
		to = a.release.Revision
		drift, err := c.drift(ctx, a)
		if err != nil {
			return result{}, err
		}
		if drift != "" {
			return c.repair(ctx, a, drift, actionRollback, act)
		}
		return a.returned(), nil
	}
	pace := &a.memory.helm
	if hold := pace.wait(goal, c.now()); hold > 0 {
		return pace.last(hold), nil
	}
	r := waiting("Returning", fmt.Sprintf("Helm returns the shop to revision %d: %s", to, status.Failed.Message), 0)
	switch err := c.act(ctx, a, r, actionRollback, act); {
	case errors.Is(err, helm.ErrReleaseNotFound):
		// There is nothing to return to any more, so on it goes.
		status.Failed, status.Ready = nil, nil
		return pace.failed(goal, "RevisionLost", err.Error(), c.now()), nil
	case err != nil:
		return pace.failed(goal, "RollbackFailed", err.Error(), c.now()), nil
	}
	*pace = retry{}
	return a.returned(), nil
}

// returned is the result of a release that runs what was ready before.
func (a *attempt) returned() result {
	status := a.releaseStatus()
	status.Revision = int64(a.release.Revision)
	status.Chart, status.ChartVersion = status.Ready.Chart, status.Ready.ChartVersion
	a.store.Status.Version = status.Ready.Version
	until := "the store or its engine changes"
	if a.restoreFailed() {
		until = "the store changes"
	}
	r := done("UpgradeFailed", fmt.Sprintf("The upgrade to %s failed, returned to revision %d with %s. It is not tried again until %s. %s",
		describeTarget(status.Failed.Version, status.Failed.Plan), status.Failed.ReturnedTo,
		describeTarget(status.Ready.Version, status.Ready.Plan), until, status.Failed.Message))
	r.tookBack = true
	return r
}

func describeTarget(version, plan string) string {
	return fmt.Sprintf("version %s, plan %s", version, plan)
}

// noteReady remembers the revision with which the shop is ready.
func (a *attempt) noteReady() {
	status := a.releaseStatus()
	ready := &v1alpha1.ReadyRevision{
		Revision: status.Revision, Digest: contentDigest(a.release.Labels), Chart: status.Chart, ChartVersion: status.ChartVersion,
		Version: a.store.Status.Version, Plan: a.store.Spec.Plan, Generation: a.store.Generation,
	}
	if a.takenBack() {
		ready.Plan, ready.Generation = status.Ready.Plan, status.Ready.Generation
	}
	status.Ready = ready
}

// planName is the plan whose bounds the store has: that of what it runs.
func (a *attempt) planName() string {
	if a.takenBack() {
		return a.releaseStatus().Ready.Plan
	}
	return a.store.Spec.Plan
}

// settled is true once the store has been ready with what it asks for, or is ready
// with what was before because that has failed.
func (a *attempt) settled() bool {
	if a.takenBack() {
		return a.isTrue(v1alpha1.ConditionReady)
	}
	return a.asksForReady()
}

// progress is how near a release has come to being ready, and since when. The time
// is also in the status of the step, where it outlives the process.
type progress struct {
	digest string
	best   int
	since  metav1.Time
}

// deadline is how long the engine's shops may come no nearer.
func (a *attempt) deadline() time.Duration {
	if seconds := a.engine.Spec.ProgressDeadlineSeconds; seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	return defaultDeadline
}

// overdue judges a step after the release that is not done: if it has come no
// nearer for the engine's progress deadline, an upgrade is taken back, and
// anything else is Stalled, and still waited for.
func (c *Controller) overdue(a *attempt, name string, r result, reached int) result {
	if r.idle || a.release == nil {
		return r
	}
	deadline := a.deadline()
	p, step := &a.memory.progress, a.stepOf(name)
	switch digest := contentDigest(a.release.Labels); {
	case p.digest != digest:
		*p = progress{digest: digest, best: reached, since: ptr.Deref(step.ProgressTime, c.timestamp())}
	case reached > p.best:
		p.best, p.since = reached, c.timestamp()
	}
	step.ProgressTime = ptr.To(p.since)
	left := deadline - c.now().Sub(p.since.Time)
	switch {
	case left > 0:
		if r.again == 0 || left < r.again {
			r.again = left
		}
		return r
	case c.mayTakeBack(a):
		return c.takeBack(a, fmt.Sprintf("There was no progress for %s. %s", deadline, r.message))
	}
	return noProgress(r, deadline)
}

// tooLong judges a step that is not done though nothing of the release is at work yet:
// all the progress there can be is that it ends. It is Stalled after the engine's
// progress deadline, and still tried.
func (c *Controller) tooLong(a *attempt, name string, r result) result {
	deadline := a.deadline()
	left := deadline - a.since(name, c.now())
	switch {
	case r.stalled:
		return r
	case left <= 0:
		return noProgress(r, deadline)
	case r.again == 0 || left < r.again:
		r.again = left
	}
	return r
}

// noProgress is r when it has been so for the deadline.
func noProgress(r result, deadline time.Duration) result {
	r.stalled = true
	r.message = fmt.Sprintf("%s There was no progress for %s.", r.message, deadline)
	return r
}
