package provisioner

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// reasonDrifted is the reason of ReleaseInstalled while something of the release
// is not as it was made, and of NamespaceReady for what the controller makes itself.
const reasonDrifted = "Drifted"

// checked is what there was when all was found to be as the release made it.
type checked struct {
	revision    int
	change      int64 // the last that the watches saw
	generations map[string]int64
}

// drift names what of the newest revision was changed or is gone, or is empty.
// All of the release is compared when a workload has another generation than it
// had when all was right, or when none is known, and when something that should
// rest, such as a Service, has changed: watches tell of all of it at once.
func (c *Controller) drift(ctx context.Context, a *attempt) (string, error) {
	// Before anything is read: what changes later is compared once more.
	change := c.watches.lastChange(a.namespace)
	missing, err := c.missingWorkloads(ctx, a)
	if err != nil || missing != "" {
		return gone(missing), err
	}
	if err := c.readWorkloads(ctx, a); err != nil {
		return "", err
	}
	if a.memory.checked.covers(a, change) {
		return "", nil
	}
	drifts, err := c.helm.Drift(ctx, a.namespace, ReleaseName, a.release.Revision)
	if err != nil {
		return "", err
	}
	if len(drifts) == 0 {
		a.noteChecked(change)
		return "", nil
	}
	d := drifts[0]
	if d.Missing {
		return gone(objectName(d.Kind, d.Name)), nil
	}
	return fmt.Sprintf("%s was changed in %s.", objectName(d.Kind, d.Name), d.Field), nil
}

func gone(object string) string {
	if object == "" {
		return ""
	}
	return object + " is gone."
}

// noteChecked remembers that all is right after the change, with the workloads as
// they are.
func (a *attempt) noteChecked(change int64) {
	a.memory.checked = checked{revision: a.release.Revision, change: change, generations: map[string]int64{}}
	for _, w := range a.workloads {
		if w.kind != "Job" {
			a.memory.checked.generations[objectName(w.kind, w.name)] = w.generation
		}
	}
}

// covers is true if no change was seen since all was right, and all workloads are
// as they were then.
func (k checked) covers(a *attempt, change int64) bool {
	if k.revision != a.release.Revision || k.change != change {
		return false
	}
	for _, w := range a.workloads {
		if w.kind != "Job" && k.generations[objectName(w.kind, w.name)] != w.generation {
			return false
		}
	}
	return true
}

// repair has Helm make the release again as it is. It is paced, because whoever
// changes it may do so again.
func (c *Controller) repair(ctx context.Context, a *attempt, drift, action string, act func() (*helm.Release, error)) (result, error) {
	pace := &a.memory.repair
	r := failed(reasonDrifted, drift, 0)
	// A job is no lasting part of a shop, and the one that has failed was deleted
	// to be run again.
	isJob := strings.HasPrefix(drift, "Job ")
	if isJob {
		r = waiting("RunningJobAgain", drift+" Helm makes it again.", 0)
	}
	if hold := pace.wait(drift, c.now()); hold > 0 {
		r.again = hold
		return r, nil
	}
	if err := c.act(ctx, a, r, action, act); err != nil {
		return pace.failed(drift, "ReleaseFailed", err.Error(), c.now()), nil
	}
	pace.tried(drift, c.now())
	if !isJob {
		c.corrected(a, v1alpha1.ConditionReleaseInstalled, drift)
	}
	if a.takenBack() {
		return a.returned(), nil
	}
	return a.releaseDone(a.request.Chart), nil
}

// corrected tells of drift that is no more.
func (c *Controller) corrected(a *attempt, step, drift string) {
	c.instruments.corrections.Inc()
	c.events.Eventf(a.store, nil, corev1.EventTypeNormal, "DriftCorrected", step, "It was made again as the store asks for: %s", drift)
}
