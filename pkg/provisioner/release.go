package provisioner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
	"platform.dev/stores/pkg/provisioner/helm"
)

// The Helm actions, as status.release.actions names them.
const (
	actionInstall   = "install"
	actionUpgrade   = "upgrade"
	actionRollback  = "rollback"
	actionUnlock    = "unlock"
	actionUninstall = "uninstall"
)

// maxActions is how many actions status.release keeps.
const maxActions = 3

// wanted is the release that the store asks for, or else what is wrong with
// asking for it.
func (c *Controller) wanted(ctx context.Context, a *attempt) (*helm.Request, *result, error) {
	problem := func(r result) (*helm.Request, *result, error) { return nil, &r, nil }
	values, err := engine.Values(a.engine, a.store, c.platform)
	var notOffered *engine.NotOfferedError
	switch {
	case errors.As(err, &notOffered):
		return problem(stalled(v1alpha1.ReasonVersionNotOffered, err.Error()))
	case err != nil:
		return problem(stalled("InvalidValues", err.Error()))
	}
	source, err := chart.SourceOf(a.engine, a.store)
	if err != nil {
		return problem(stalled("InvalidEngine", err.Error()))
	}
	// The source changes when somebody corrects it, so it is the goal.
	if hold := a.memory.chart.wait(source.String(), c.now()); hold > 0 {
		return problem(a.memory.chart.last(hold))
	}
	shop, err := c.charts.Load(ctx, source)
	if err != nil {
		return problem(a.memory.chart.failed(source.String(), "ChartUnavailable", err.Error(), c.now()))
	}
	a.memory.chart = retry{}
	digest, err := engine.Digest(values)
	if err != nil {
		return nil, nil, err
	}
	version, err := engine.VersionDigest(a.engine, a.store.Spec.Version)
	if err != nil {
		return nil, nil, err
	}
	request := &helm.Request{
		Namespace: a.namespace, Name: ReleaseName, Chart: shop, Values: values,
		Labels:      map[string]string{LabelChartDigest: shop.Digest, LabelValuesDigest: digest, LabelVersionDigest: version},
		Description: fmt.Sprintf("Store %s/%s generation %d", a.store.Namespace, a.store.Name, a.store.Generation),
	}
	if a.everReady() {
		request.Keep = int(a.store.Status.Release.Ready.Revision)
	}
	return request, nil, nil
}

// contentDigest identifies the chart and the values that labels stand for.
func contentDigest(labels map[string]string) string {
	return labels[LabelChartDigest] + labels[LabelValuesDigest]
}

// releaseInstalled sees to it that the newest revision of the release is
// deployed and was made from the chart and the values that the store asks for,
// or from those before if they have failed. Nothing is ever uninstalled to get
// there.
func (c *Controller) releaseInstalled(ctx context.Context, a *attempt) (result, error) {
	if a.problem != nil {
		return *a.problem, nil
	}
	if err := c.readRelease(ctx, a); errors.Is(err, errForeignRelease) {
		return foreignRelease(a.namespace), nil
	} else if err != nil {
		return result{}, err
	}
	if a.takenBack() && a.release != nil {
		return c.returnRelease(ctx, a)
	}
	return c.bringRelease(ctx, a)
}

// bringRelease does the one action that brings the release to what is wanted, if
// one is needed and not held back.
func (c *Controller) bringRelease(ctx context.Context, a *attempt) (result, error) {
	request := *a.request
	request.Untouched = a.memory.untouched
	r := waiting("Installing", "Helm installs the shop.", 0)
	action, goal, restoring := actionInstall, contentDigest(request.Labels), false
	act := func() (*helm.Release, error) { return c.helm.Install(ctx, request) }
	if a.release != nil {
		r = waiting("Upgrading", "Helm brings the shop to what is asked for.", 0)
		action, act = actionUpgrade, func() (*helm.Release, error) { return c.helm.Upgrade(ctx, request) }
		if a.release.Status == helm.StatusDeployed && contentDigest(a.release.Labels) == goal && !a.restorePending() {
			drift, err := c.drift(ctx, a)
			if err != nil {
				return result{}, err
			}
			if drift != "" {
				return c.repair(ctx, a, drift, action, act)
			}
			return a.releaseDone(request.Chart), nil
		}
		restoring = a.restorePending()
		if r, err := c.dataReady(ctx, a); err != nil || r.outcome != outcomeDone {
			return r, err
		}
	}
	pace := &a.memory.helm
	if hold := pace.wait(goal, c.now()); hold > 0 {
		r := pace.last(hold)
		r.stalled = allFailed(a.releaseStatus().Actions)
		return r, nil
	}
	if err := c.act(ctx, a, r, action, act); err != nil {
		r := pace.failed(goal, "ReleaseFailed", err.Error(), c.now())
		r.stalled = allFailed(a.releaseStatus().Actions)
		if pace.failures >= upgradeAttempts && c.mayTakeBack(a) {
			return c.takeBack(a, err.Error()), nil
		}
		return r, nil
	}
	*pace = retry{}
	if restoring {
		c.noteRestored(a)
	}
	return a.releaseDone(request.Chart), nil
}

// act does one Helm action, after r has told of it, and before its outcome is
// told. The error is the action's.
func (c *Controller) act(ctx context.Context, a *attempt, r result, action string, do func() (*helm.Release, error)) error {
	c.probes.forget(a.store.UID)
	c.stopAt(a, v1alpha1.ConditionReleaseInstalled, r)
	// That a new store is at work was told a moment ago.
	if !a.memory.untouched {
		if err := c.writeStatus(ctx, a); err != nil {
			return err
		}
	}
	a.memory.untouched = false
	started := c.now()
	release, err := do()
	a.workloads, a.pods = nil, nil
	c.recordAction(a, action, started, release, err)
	if err != nil {
		return err
	}
	a.release, a.acted = release, true
	for _, o := range release.Objects {
		c.watches.seen(a.namespace, o.Kind, o.Name, o.ResourceVersion)
	}
	if release.Objects != nil {
		a.memory.objects = map[int][]helm.Object{release.Revision: release.Objects}
	}
	return nil
}

// foreignAgain is when to look again whether a foreign release is gone: nothing tells.
const foreignAgain = time.Minute

var errForeignRelease = errors.New("the release is not the store's")

// ours is true for a release that this controller has made: each of its revisions says
// what it was made from, also one whose action was cut off.
func ours(r *helm.Release) bool { return r.Labels[LabelChartDigest] != "" }

// foreignRelease is the refusal to take a release over that somebody else has made:
// nobody knows what it holds, and what an upgrade would delete.
func foreignRelease(namespace string) result {
	r := stalled("ReleaseConflict", fmt.Sprintf("Helm release %s in namespace %s was not made for this store, and is left alone. Uninstall it, and the store goes on.", ReleaseName, namespace))
	r.again = foreignAgain
	return r
}

// readRelease reads the newest revision, or returns errForeignRelease. One whose
// action did not end is unlocked first: this process is the only one at work on
// the store, so the action was one of a process that is no more.
func (c *Controller) readRelease(ctx context.Context, a *attempt) error {
	if err := c.findRelease(ctx, a); err != nil || a.release == nil {
		return err
	}
	release := a.release
	if !ours(release) {
		a.release = nil
		return errForeignRelease
	}
	if release.Status.Interrupted() {
		var err error
		was, started := release.Status, c.now()
		release, err = c.helm.Unlock(ctx, a.namespace, ReleaseName, fmt.Sprintf("The action was cut off, leaving %s", was))
		c.recordAction(a, actionUnlock, started, release, err)
		if err != nil {
			return err
		}
		c.instruments.unlocked.Inc()
	}
	a.release = release
	return nil
}

// findRelease looks for the newest revision, once in an attempt.
func (c *Controller) findRelease(ctx context.Context, a *attempt) error {
	if a.releaseRead || a.memory.untouched {
		return nil
	}
	release, err := c.helm.Get(ctx, a.namespace, ReleaseName)
	if err != nil && !errors.Is(err, helm.ErrReleaseNotFound) {
		return err
	}
	a.release, a.releaseRead = release, true
	return nil
}

// releaseDone notes the revision that is deployed, and the chart it carries.
func (a *attempt) releaseDone(shop *chart.Chart) result {
	status := a.releaseStatus()
	status.Revision = int64(a.release.Revision)
	status.Chart, status.ChartVersion = shop.Name, shop.Version
	a.store.Status.Version = a.store.Spec.Version
	return done("ReleaseDeployed", fmt.Sprintf("Release %s revision %d is deployed.", ReleaseName, a.release.Revision))
}

func (a *attempt) releaseStatus() *v1alpha1.StoreRelease {
	if a.store.Status.Release == nil {
		a.store.Status.Release = &v1alpha1.StoreRelease{Name: ReleaseName}
	}
	return a.store.Status.Release
}

// recordAction puts an action that has ended into the status, an event and the
// metrics.
func (c *Controller) recordAction(a *attempt, action string, started time.Time, release *helm.Release, err error) {
	c.instruments.helmAction(action, c.now().Sub(started), err)
	entry := v1alpha1.ReleaseAction{Action: action, Result: "succeeded", Time: c.timestamp()}
	if release != nil {
		entry.Revision = int64(release.Revision)
	}
	eventType, note := corev1.EventTypeNormal, fmt.Sprintf("Helm %s of release %s/%s succeeded.", action, a.namespace, ReleaseName)
	if err != nil {
		entry.Result, entry.Message = "failed", clip(err.Error())
		eventType, note = corev1.EventTypeWarning, clip(err.Error())
	}
	status := a.releaseStatus()
	status.Actions = slices.Insert(status.Actions, 0, entry)
	status.Actions = status.Actions[:min(len(status.Actions), maxActions)]
	reason := map[string]string{
		actionInstall: "Install", actionUpgrade: "Upgrade", actionRollback: "Rollback", actionUnlock: "Unlock", actionUninstall: "Uninstall",
	}[action] + strings.ToUpper(entry.Result[:1]) + entry.Result[1:]
	c.events.Eventf(a.store, nil, eventType, reason, reason, "%s", note)
}

// allFailed is true if all of the actions that status keeps have failed, and it
// keeps as many as it can.
func allFailed(actions []v1alpha1.ReleaseAction) bool {
	return len(actions) == maxActions && !slices.ContainsFunc(actions, func(a v1alpha1.ReleaseAction) bool { return a.Result != "failed" })
}
