// Package helm runs Helm releases for the provisioner. It is the only package that
// imports the Helm SDK (pkg/chart reads and renders charts), and it decides nothing: which
// release to install, when to retry and what a failure means is its caller's business.
//
// No action waits for workloads to become ready, runs hooks, resolves names
// while rendering or lets a template read the cluster. An action that has begun
// is run to its end whatever becomes of its context, because Helm's own answer
// to a cancelled context is to go on in the background.
//
// # Volumes
//
// A PersistentVolumeClaim of a release grows when its manifest asks for more, if
// its StorageClass and the quota allow it; that is found out before anything of
// the release is changed. It never shrinks. An upgrade that asks for less than the
// revision before is refused. A rollback leaves the claim as large as it is, and so
// does an upgrade to a manifest that asks for as much as ever of a claim that has
// grown by other means. Claims of a StatefulSet's templates cannot grow, because
// Kubernetes does not let the templates change.
//
// # Interrupted releases
//
// Helm writes a revision as pending before it touches the cluster and rewrites
// it afterwards, so a process that dies in between leaves a pending revision
// and any part of its objects behind; Helm then refuses every further action.
// The way out that works in every such state, without deleting anything, is
// Unlock followed by Upgrade:
//
//   - Unlock rewrites the pending revision as failed. Its manifest is kept.
//   - Upgrade compares with the deployed revision or, if there never was one,
//     with the failed revision's manifest. It creates what does not exist and
//     patches what does. Objects that only the interrupted revision made pass
//     Helm's ownership check, because they carry the release's annotations.
//
// Install with Replace would do for a first install too, but it does not know
// the failed revision's manifest, so it leaves behind what the new one no
// longer has. A process killed before the first revision was written has
// touched nothing, and Install is right. A release whose record was removed by
// hand is installed again and takes over the objects that carry its name.
package helm

import (
	"context"
	"errors"

	"platform.dev/stores/pkg/chart"
)

// FieldManager is the field manager of every object that a release makes.
const FieldManager = "stores-provisioner-helm"

// ReleaseAnnotation is on every object of a release, with the release's name.
const ReleaseAnnotation = "meta.helm.sh/release-name"

var (
	// ErrReleaseNotFound tells that no revision of the release is stored.
	ErrReleaseNotFound = errors.New("release not found")
	// ErrInterrupted tells that the last action on the release did not end.
	// Unlock the release before the next one.
	ErrInterrupted = errors.New("the last action on the release did not end")
	// ErrNotStored tells that Helm reported success but did not store it. What
	// the cluster holds is unknown; the next action will show.
	ErrNotStored = errors.New("the release's state was not stored")
)

// Interface is what the provisioner asks of Helm. Implementations are safe for
// concurrent use; callers see to it that no two actions run on one release.
type Interface interface {
	// Get returns the newest revision, or ErrReleaseNotFound. It reads only
	// metadata and is cheap enough for every reconciliation.
	Get(ctx context.Context, namespace, name string) (*Release, error)
	// Objects returns what a revision's manifest holds. It reads and decodes
	// the whole revision: keep the answer, which never changes.
	Objects(ctx context.Context, namespace, name string, revision int) ([]Object, error)
	// Install makes the first revision. Like Upgrade, it returns the revision
	// that was stored together with an error if the action failed after storing
	// one, and nil with the error if it failed before.
	Install(ctx context.Context, request Request) (*Release, error)
	// Upgrade makes another revision, whether the last one is deployed or
	// failed. It returns ErrInterrupted if the last action did not end.
	Upgrade(ctx context.Context, request Request) (*Release, error)
	// Rollback makes the newest revision from the chart, the values and the
	// labels of the revision to, which is kept in the history. It returns
	// ErrInterrupted if the last action did not end, and ErrReleaseNotFound if
	// there is no such revision.
	Rollback(ctx context.Context, namespace, name string, to int) (*Release, error)
	// Drift compares the objects of a revision's manifest, but for jobs, with
	// those in the cluster.
	Drift(ctx context.Context, namespace, name string, revision int) ([]Drift, error)
	// Unlock marks the newest revision as failed if its action did not end, and
	// does nothing otherwise. Nobody else may be at work on the release.
	Unlock(ctx context.Context, namespace, name, reason string) (*Release, error)
	// Uninstall deletes the release's objects, not waiting for them to go, and
	// every revision. No release is success.
	Uninstall(ctx context.Context, namespace, name string) error
}

// Request is a release that is wanted.
type Request struct {
	// Namespace and Name identify the release.
	Namespace, Name string
	// Chart is the chart to install.
	Chart *chart.Chart
	// Values are the chart's values. They are stored with the release in clear
	// text, so they must hold no secret.
	Values map[string]any
	// Labels are put on the stored revision, and Get returns them.
	Labels map[string]string
	// Description tells people reading the release's history why it was made.
	Description string
	// Untouched says that nothing of the release was ever made in the namespace: Install
	// does not look for what is there before. If there is something it fails and leaves
	// no revision, so that the next one looks.
	Untouched bool
	// Keep is a revision that stays in the history whatever its age; 0 is none.
	Keep int
}

// Release is one stored revision of a release.
type Release struct {
	// Revision counts from 1.
	Revision int
	// Status is how the revision's action ended.
	Status Status
	// Labels are those of the stored revision.
	Labels map[string]string
	// Objects are what its manifest holds, if an action has just made it; nil if it
	// was only looked up.
	Objects []Object
}

// Object names an object of a release's manifest, in the release's namespace.
type Object struct {
	// APIVersion and Kind are those of the manifest.
	APIVersion, Kind string
	// Name is the object's name.
	Name string
	// ResourceVersion is the object's after the action that has just made it, or empty.
	ResourceVersion string
}

// Drift is an object that is not as its revision made it.
type Drift struct {
	Object
	// Missing says that it is gone.
	Missing bool
	// Field is the path of the first field that differs, if it is not missing.
	Field string
}

// Status is how a revision's action ended, in Helm's words.
type Status string

// The statuses of revisions whose actions came to an end.
const (
	StatusDeployed   Status = "deployed"
	StatusFailed     Status = "failed"
	StatusSuperseded Status = "superseded"
)

// Interrupted is true if the action did not come to its end, or if the
// revision was uninstalled but kept: Helm refuses to build on either.
func (s Status) Interrupted() bool {
	return s != StatusDeployed && s != StatusFailed && s != StatusSuperseded
}
