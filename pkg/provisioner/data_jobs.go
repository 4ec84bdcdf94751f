package provisioner

import (
	"context"
	"fmt"
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/provisioner/helm"
)

const (
	// What the chart's jobs find in their environment.
	envBackupName  = "BACKUP_NAME"
	envBackupSpare = "BACKUP_SPARE"
	envRestoreID   = "RESTORE_ID"

	// annotationBackup is on a backup's job, with the backup's name.
	annotationBackup = "platform.dev/backup"
	// annotationGoal is on a job with data, with what it was made for.
	annotationGoal = "platform.dev/goal"
)

// dataKinds are what is waited for while data is backed up or brought back.
var dataKinds = map[string]bool{"Job": true, "Pod": true}

// createDataJob makes a Job from the suspended CronJob that is its template. It is
// false if there is no such CronJob.
func (c *Controller) createDataJob(ctx context.Context, a *attempt, cronJob, name string, annotations, env map[string]string) (bool, error) {
	from, err := c.kube.BatchV1().CronJobs(a.namespace).Get(ctx, cronJob, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading CronJob %s: %w", cronJob, err)
	}
	template := from.Spec.JobTemplate.DeepCopy()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name, Labels: template.Labels, Annotations: map[string]string{annotationGoal: a.goal()}},
		Spec:       template.Spec,
	}
	maps.Copy(job.Annotations, annotations)
	for _, containers := range [][]corev1.Container{job.Spec.Template.Spec.InitContainers, job.Spec.Template.Spec.Containers} {
		for i := range containers {
			for _, key := range slices.Sorted(maps.Keys(env)) {
				containers[i].Env = append(containers[i].Env, corev1.EnvVar{Name: key, Value: env[key]})
			}
		}
	}
	if _, err := c.kube.BatchV1().Jobs(a.namespace).Create(ctx, job, metav1.CreateOptions{FieldManager: FieldManager}); err != nil {
		return false, fmt.Errorf("creating Job %s: %w", name, err)
	}
	return true, nil
}

// dataJobState is how the job has ended, and what is to be told of it; it is empty
// while the job is at work, which reason says.
func (c *Controller) dataJobState(ctx context.Context, a *attempt, j *batchv1.Job, reason string) (batchv1.JobConditionType, result, error) {
	w := job(j)
	if w.ready {
		return batchv1.JobComplete, result{}, nil
	}
	r, err := c.blocker(ctx, a, &w)
	if w.broken != nil {
		return batchv1.JobFailed, r, err
	}
	// It is the job's own deadline that ends what does not come nearer.
	r.outcome, r.reason = outcomeWaiting, reason
	return "", r, err
}

// podsOf are the pods of the job, not of one before it that had its name.
func (c *Controller) podsOf(ctx context.Context, a *attempt, j *batchv1.Job) ([]corev1.Pod, error) {
	pods, err := c.kube.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.ControllerUidLabel + "=" + string(j.UID)})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of Job %s: %w", j.Name, err)
	}
	return pods.Items, nil
}

func (c *Controller) deleteJob(ctx context.Context, a *attempt, name string) error {
	err := c.kube.BatchV1().Jobs(a.namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting Job %s: %w", name, err)
	}
	return nil
}

// releaseHas is true if the manifest of the newest revision has the object.
func (c *Controller) releaseHas(ctx context.Context, a *attempt, kind, name string) (bool, error) {
	objects, err := c.objects(ctx, a)
	return slices.ContainsFunc(objects, func(o helm.Object) bool { return o.APIVersion+" "+o.Kind == kind && o.Name == name }), err
}

// giveUp ends what a job with data was for: the store goes on with what it runs. A
// store that cannot has the job run again, and a restore stays asked for whose
// release would otherwise run on the data of another. It is done if the store asks
// for what was ready before.
func (c *Controller) giveUp(ctx context.Context, a *attempt, job, why string) (result, error) {
	back := c.mayTakeBack(a)
	if a.restorePending() && !a.dataReplaced() {
		a.answerRestore(restoreFailed, why)
		c.events.Eventf(a.store, nil, corev1.EventTypeWarning, "RestoreFailed", "Restore", "%s", clip(why))
	}
	switch {
	case back:
		return c.takeBack(a, why), nil
	case !a.restorePending() && !a.dataReplaced() && a.asksForReady():
		// Somebody takes the upgrade back by hand, and needs no more than a return does.
		c.events.Eventf(a.store, nil, corev1.EventTypeWarning, "NotBackedUp", "Backup", "%s", clip(fmt.Sprintf("The shop returns to version %s without a backup. %s", a.store.Spec.Version, why)))
		return done("", ""), nil
	}
	r := failed("BackupFailed", why, 0)
	var err error
	r.again, err = c.runJobAgain(ctx, a, job)
	return r, err
}
