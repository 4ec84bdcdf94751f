package provisioner

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// stepNames are the stages of provisioning in their order, by the conditions
// that they make true. Each relies on those before it.
var stepNames = []string{
	v1alpha1.ConditionNamespaceReady,
	v1alpha1.ConditionSecretsReady,
	v1alpha1.ConditionReleaseInstalled,
	v1alpha1.ConditionWorkloadReady,
	v1alpha1.ConditionRouteReady,
	v1alpha1.ConditionStorefrontReady,
}

// runStep looks at one stage and acts on it, and never waits. An error is for
// what has nothing to do with the store, such as an API server that does not
// answer; what the store's owner should know is a result.
func (c *Controller) runStep(ctx context.Context, a *attempt, name string) (result, error) {
	switch name {
	case v1alpha1.ConditionNamespaceReady:
		return c.namespaceReady(ctx, a)
	case v1alpha1.ConditionSecretsReady:
		return c.secretsReady(ctx, a)
	case v1alpha1.ConditionReleaseInstalled:
		return c.releaseInstalled(ctx, a)
	case v1alpha1.ConditionWorkloadReady:
		return c.workloadReady(ctx, a)
	case v1alpha1.ConditionRouteReady:
		return c.routeReady(ctx, a)
	case v1alpha1.ConditionStorefrontReady:
		return c.storefrontReady(a), nil
	}
	return result{}, fmt.Errorf("unknown step %q", name)
}

// result is what a step found. reason is CamelCase and one of few; message
// names the object that is in the way. Neither ever holds a secret.
type result struct {
	outcome         outcome
	reason, message string
	// stalled says that time alone will not help.
	stalled bool
	// tookBack says that the step is done with what was before, because what is
	// asked for has failed.
	tookBack bool
	// idle says that this is how the store is wanted, and nothing is to be done.
	idle bool
	// again is when to look again without being woken; 0 is never.
	again time.Duration
}

type outcome int

const (
	// outcomeWaiting is work in progress.
	outcomeWaiting outcome = iota
	// outcomeDone lets the next step run.
	outcomeDone
	// outcomeFailed is something wrong, which is retried all the same.
	outcomeFailed
)

func done(reason, message string) result {
	return result{outcome: outcomeDone, reason: reason, message: message}
}

func waiting(reason, message string, again time.Duration) result {
	return result{outcome: outcomeWaiting, reason: reason, message: message, again: again}
}

func failed(reason, message string, again time.Duration) result {
	return result{outcome: outcomeFailed, reason: reason, message: message, again: again}
}

// stalled is a failure that somebody has to do something about.
func stalled(reason, message string) result {
	return result{outcome: outcomeFailed, reason: reason, message: message, stalled: true}
}

// attempt is one reconciliation of one store.
type attempt struct {
	// store is a copy; the steps change its status, and nothing else of it.
	store *v1alpha1.Store
	// engine is the store's engine, not to be changed.
	engine *v1alpha1.Engine
	// namespace is the store's namespace, existing or not.
	namespace string
	// memory is what earlier attempts of this process know.
	memory *memory
	// base is the status as it was read.
	base *v1alpha1.StoreStatus

	// request is the release that the store asks for; if it asks for none that
	// can be made, problem says why.
	request *helm.Request
	problem *result

	// release is the newest revision, once read; nil if there is none.
	release     *helm.Release
	releaseRead bool
	// rest is what there was before this attempt, and firstStep the first that is not
	// known to be done.
	rest      rested
	firstStep int
	// foundation is what there was, but for what runs; founded says that it is as it was when
	// the release was seen installed.
	foundation rested
	founded    bool
	// acted says that this attempt has made the newest revision.
	acted bool
	// workloads are the release's workloads, once read since the last action.
	workloads []workload
	// pods are those of the namespace, once read since the last action.
	pods *corev1.PodList
	// unwatched says that something of the store changes without waking it.
	unwatched bool
	// growing tells of volumes that grow while all is done; it may be empty.
	growing string
}

// memory is what the controller remembers of one store between attempts. All of
// it can be lost at any time: it saves requests and paces retries.
type memory struct {
	uid       types.UID // tells a later store of the same name
	namespace string    // the store's namespace
	written   string    // resourceVersion of the last status written, or unreadVersion
	applied   string    // digest of what stands in the namespace
	appliedAt time.Time
	// standing is what was applied, and appliedChange the last change that the
	// watches saw before it was last known to stand.
	standing []standing
	begun    string // digest of what does not stand completely yet
	madeFor  string // what was asked for when the namespace was made
	// untouched says that this process has made the namespace, and nothing in it that
	// has to be looked for.
	untouched       bool
	appliedChange   int64
	objects         map[int][]helm.Object // manifests by revision
	checked         checked
	rested, founded rested
	progress        progress
	held            []heldObject // when the namespace was deleted
	chart           retry
	helm            retry
	repair          retry
	jobs            retry
}

// unreadVersion is no version: the store has to be read.
const unreadVersion = "unread"

// since is how long the step has been at work.
func (a *attempt) since(condition string, now time.Time) time.Duration {
	for _, s := range a.store.Status.Steps {
		if s.Name == condition && s.StartTime != nil && s.EndTime == nil {
			return now.Sub(s.StartTime.Time)
		}
	}
	return 0
}

// pollInterval grows with the time already waited, so that a store is told
// ready soon after it is and a broken one costs little.
func pollInterval(waited, least, most time.Duration) time.Duration {
	return min(max(waited/5, least), most)
}

// objectName names an object as messages do.
func objectName(kind, name string) string { return kind + " " + name }

// isProblem is true if something is wrong.
func (r *result) isProblem() bool { return r.outcome == outcomeFailed || r.tookBack }

// eventType is the type of the event that tells of the result.
func (r *result) eventType() string {
	if r.isProblem() {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}
