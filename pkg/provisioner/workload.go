package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// workload is a Deployment, StatefulSet or Job of the release, and how far it
// has come.
type workload struct {
	kind, name string
	version    string
	selector   *metav1.LabelSelector
	generation int64
	ready      bool
	// pods is how many it is to have at least, where its own status does not tell why
	// one cannot be made.
	pods int
	// unseen says that its controller has not looked at it as it is now.
	unseen bool
	// nearer counts what its pods have reached, while it is not ready.
	nearer int
	// broken is set when the workload's own status says what is wrong.
	broken *result
	// progress says in a few words what is still to come.
	progress string
}

// workloadReady is done when every workload of the release has reached what it
// is for: pods of the newest template that are ready, jobs that are complete.
func (c *Controller) workloadReady(ctx context.Context, a *attempt) (result, error) {
	if err := c.readWorkloads(ctx, a); err != nil {
		return result{}, err
	}
	if a.acted {
		// What Helm has just made is right, and so is that the watches saw it.
		a.noteChecked(c.watches.lastChange(a.namespace))
	}
	if err := c.followRelease(ctx, a); err != nil {
		return result{}, err
	}
	var first *result
	for i := range a.workloads {
		w := &a.workloads[i]
		if w.ready {
			continue
		}
		r, err := c.blocker(ctx, a, w)
		if err != nil {
			return result{}, err
		}
		if w.kind == "Job" && w.broken != nil {
			if c.mayTakeBack(a) {
				return c.takeBack(a, r.message), nil
			}
			if r.again, err = c.runJobAgain(ctx, a, w.name); err != nil {
				return result{}, err
			}
		}
		// What is wrong is told rather than what merely takes its time.
		if first == nil || (first.outcome == outcomeWaiting && r.outcome == outcomeFailed) {
			first = &r
		}
	}
	if first != nil {
		return *first, nil
	}
	if missing, err := c.missingWorkloads(ctx, a); err != nil || missing != "" {
		return waiting("WorkloadMissing", missing+" is not there.", a.memory.repair.wait(gone(missing), c.now())), err
	}
	// From now on the workloads themselves tell what becomes of their pods.
	c.watches.unfollow(a.namespace, "Pod")
	a.memory.repair, a.memory.jobs = retry{}, retry{}
	return done("WorkloadReady", fmt.Sprintf("All %d workloads of the release are ready.", len(a.workloads))), nil
}

// followRelease watches the kinds that the release has objects of, and the pods while a
// workload is not ready.
func (c *Controller) followRelease(ctx context.Context, a *attempt) error {
	objects, err := c.objects(ctx, a)
	if err != nil {
		return err
	}
	kinds := map[string]bool{"Pod": slices.ContainsFunc(a.workloads, func(w workload) bool { return !w.ready && !w.unseen })}
	for _, o := range objects {
		kinds[o.Kind] = true
	}
	c.watches.follow(a.namespace, kinds)
	return nil
}

// reached is how far the release's workloads have come; more is nearer to ready.
func (a *attempt) reached() int {
	// More than the pods of one workload ever reach.
	const whole = 1000
	sum := 0
	for _, w := range a.workloads {
		if w.ready {
			sum += whole
		} else {
			sum += min(w.nearer, whole-1)
		}
	}
	return sum
}

// readWorkloads reads the release's workloads, unless they are known already:
// databases, then the jobs that prepare them, then what needs both, so that the
// first that is not ready is the one that the others wait for.
func (c *Controller) readWorkloads(ctx context.Context, a *attempt) error {
	if a.workloads != nil {
		return nil
	}
	found := []workload{}
	for _, list := range []struct {
		kind string
		of   func(context.Context, *attempt) ([]workload, error)
	}{{"StatefulSet", c.statefulSets}, {"Job", c.jobs}, {"Deployment", c.deployments}} {
		if may, err := c.mayHave(ctx, a, list.kind); err != nil {
			return err
		} else if !may {
			continue
		}
		workloads, err := list.of(ctx, a)
		if err != nil {
			return fmt.Errorf("listing every %s in namespace %s: %w", list.kind, a.namespace, err)
		}
		found = append(found, workloads...)
	}
	for _, w := range found {
		c.watches.seen(a.namespace, w.kind, w.name, w.version)
	}
	a.workloads = found
	return nil
}

func (c *Controller) statefulSets(ctx context.Context, a *attempt) (found []workload, err error) {
	list, err := c.kube.AppsV1().StatefulSets(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if ofRelease(&list.Items[i]) {
			found = append(found, statefulSet(&list.Items[i]))
		}
	}
	return found, nil
}

func (c *Controller) jobs(ctx context.Context, a *attempt) (found []workload, err error) {
	list, err := c.kube.BatchV1().Jobs(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if ofRelease(&list.Items[i]) {
			found = append(found, job(&list.Items[i]))
		}
	}
	return found, nil
}

func (c *Controller) deployments(ctx context.Context, a *attempt) (found []workload, err error) {
	list, err := c.kube.AppsV1().Deployments(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if ofRelease(&list.Items[i]) {
			found = append(found, deployment(&list.Items[i]))
		}
	}
	return found, nil
}

// mayHave is false if the release has no object of any of the kinds. An action that
// has failed may have left some of an earlier revision.
func (c *Controller) mayHave(ctx context.Context, a *attempt, kinds ...string) (bool, error) {
	if a.release == nil || a.release.Status != helm.StatusDeployed {
		return true, nil
	}
	objects, err := c.objects(ctx, a)
	return slices.ContainsFunc(objects, func(o helm.Object) bool { return slices.Contains(kinds, o.Kind) }), err
}

// ofRelease is true for what the release's manifest holds. Hooks do not carry
// the annotation, nor does what controllers make from templates.
func ofRelease(o metav1.Object) bool {
	return o.GetAnnotations()[helm.ReleaseAnnotation] == ReleaseName
}

// missingWorkloads names a workload that the newest revision has made and the
// cluster no longer holds, or is empty.
func (c *Controller) missingWorkloads(ctx context.Context, a *attempt) (string, error) {
	if a.release.Status != helm.StatusDeployed {
		return "", nil
	}
	objects, err := c.objects(ctx, a)
	if err != nil {
		return "", err
	}
	if err := c.readWorkloads(ctx, a); err != nil {
		return "", err
	}
	// A complete Job may be gone for good: those with a lifetime clean
	// themselves up. One that is missing before all was ready is not.
	settled := a.isTrue(v1alpha1.ConditionWorkloadReady)
	for _, o := range objects {
		kind := o.APIVersion + " " + o.Kind
		if !slices.Contains([]string{"apps/v1 Deployment", "apps/v1 StatefulSet", "batch/v1 Job"}, kind) || (o.Kind == "Job" && settled) {
			continue
		}
		if !slices.ContainsFunc(a.workloads, func(w workload) bool { return w.kind == o.Kind && w.name == o.Name }) {
			return objectName(o.Kind, o.Name), nil
		}
	}
	return "", nil
}

// objects are what the manifest of the newest revision holds.
func (c *Controller) objects(ctx context.Context, a *attempt) ([]helm.Object, error) {
	objects, ok := a.memory.objects[a.release.Revision]
	if !ok {
		var err error
		if objects, err = c.helm.Objects(ctx, a.namespace, ReleaseName, a.release.Revision); err != nil {
			return nil, err
		}
		a.memory.objects = map[int][]helm.Object{a.release.Revision: objects}
	}
	return objects, nil
}

// runJobAgain deletes a job that has failed for good, so that it is made
// anew, and returns when to look again. Jobs of a release can be run any
// number of times; that is asked of every chart.
func (c *Controller) runJobAgain(ctx context.Context, a *attempt, name string) (time.Duration, error) {
	if hold := a.memory.jobs.wait(name, c.now()); hold > 0 {
		return hold, nil
	}
	delay := a.memory.jobs.tried(name, c.now())
	if a.memory.jobs.failures == 1 {
		return delay, nil
	}
	if err := c.deleteJob(ctx, a, name); err != nil {
		return 0, err
	}
	c.events.Eventf(a.store, nil, corev1.EventTypeWarning, "JobRetried", "RetryJob", "Job %s has failed and is run again.", name)
	return delay, nil
}

func deployment(d *appsv1.Deployment) workload {
	want := ptr.Deref(d.Spec.Replicas, 1)
	s := d.Status
	w := workload{
		kind: "Deployment", name: d.Name, version: d.ResourceVersion, generation: d.Generation, selector: d.Spec.Selector,
		unseen:   s.ObservedGeneration < d.Generation,
		ready:    s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want,
		progress: fmt.Sprintf("%d of %d replicas are available", s.AvailableReplicas, want),
	}
	for _, condition := range s.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			r := failed(condition.Reason, condition.Message, 0)
			w.broken = &r
		}
	}
	return w
}

func statefulSet(s *appsv1.StatefulSet) workload {
	want := ptr.Deref(s.Spec.Replicas, 1)
	status := s.Status
	return workload{
		kind: "StatefulSet", name: s.Name, version: s.ResourceVersion, generation: s.Generation, selector: s.Spec.Selector, pods: int(want),
		unseen: status.ObservedGeneration < s.Generation,
		ready: status.ObservedGeneration >= s.Generation && status.Replicas == want && status.ReadyReplicas == want &&
			status.UpdateRevision == status.CurrentRevision,
		progress: fmt.Sprintf("%d of %d replicas are ready", status.ReadyReplicas, want),
	}
}

func job(j *batchv1.Job) workload {
	w := workload{kind: "Job", name: j.Name, version: j.ResourceVersion, selector: j.Spec.Selector, progress: "it is not complete"}
	for _, condition := range j.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			w.ready = true
		case batchv1.JobFailed:
			r := failed("JobFailed", strings.TrimSuffix(condition.Reason+": "+condition.Message, ": "), 0)
			w.broken = &r
		}
	}
	return w
}
