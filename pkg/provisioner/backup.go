package provisioner

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

const (
	// backupFresh is how long a backup serves the upgrades that it was made for:
	// what is sold after it is not in it.
	backupFresh = 15 * time.Minute

	// maxBackups is how many backups the status holds.
	maxBackups = 32

	// What the chart's jobs find in their environment.
	envBackupName  = "BACKUP_NAME"
	envBackupSpare = "BACKUP_SPARE"
	envRestoreID   = "RESTORE_ID"

	// annotationBackup is on a backup's job, with the backup's name.
	annotationBackup = "platform.dev/backup"
	// annotationGoal is on a job with data, with what it was made for.
	annotationGoal = "platform.dev/goal"

	restoreSucceeded = "succeeded"
	restoreFailed    = "failed"
)

// dataKinds are what is waited for while data is backed up or brought back.
var dataKinds = map[string]bool{"Job": true, "Pod": true}

// A change of the version is preceded by a backup, made by a job from the chart
// that is installed, beside the shop that goes on to sell. What the jobs are named
// by, and what they tell when they end, is all in the cluster and in the status:
// each move can be repeated.

// dataReady is done when the data is as the release that is asked for needs it:
// backed up, if the version changes, and replaced by a backup's, if a rollback
// asks for that.
func (c *Controller) dataReady(ctx context.Context, a *attempt) (result, error) {
	switch {
	case a.restorePending():
		c.watches.follow(a.namespace, dataKinds)
		return c.restoreData(ctx, a)
	case !a.everReady() || a.engine.Spec.Backup == nil || !a.changesVersion():
		return done("", ""), nil
	case a.store.Spec.PowerState == v1alpha1.PowerStateHibernated:
		return stalled("Hibernated", fmt.Sprintf("A change of the version needs a backup, for which the shop must run: wake the store with version %s before.", a.store.Status.Version)), nil
	}
	c.watches.follow(a.namespace, dataKinds)
	return c.backUp(ctx, a)
}

// changesVersion is true if the newest revision runs something else than the
// version that is asked for. A release from before there was the label tells by
// the version's name only.
func (a *attempt) changesVersion() bool {
	if was, ok := a.release.Labels[LabelVersionDigest]; ok {
		return was != a.request.Labels[LabelVersionDigest]
	}
	return a.store.Status.Version != a.store.Spec.Version
}

// backUp is done when there is a backup of what the newest revision of the release
// has stored.
func (c *Controller) backUp(ctx context.Context, a *attempt) (result, error) {
	name := fmt.Sprintf("backup-%d", a.release.Revision)
	job, err := c.kube.BatchV1().Jobs(a.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return c.beginBackup(ctx, a, name)
	case err != nil:
		return result{}, fmt.Errorf("reading Job %s: %w", name, err)
	}
	state, r, err := c.dataJobState(ctx, a, job, "BackingUp")
	old := job.Annotations[annotationGoal] != a.goal() || state == batchv1.JobComplete && c.now().Sub(job.CreationTimestamp.Time) > backupFresh
	switch {
	case err != nil:
		return result{}, err
	case state != "" && old:
		return waiting("BackingUp", objectName("Job", name)+" is older than what is asked for, and is made anew.", 0), c.deleteJob(ctx, a, name)
	case state == batchv1.JobComplete:
		return c.noteBackup(ctx, a, job)
	case state == batchv1.JobFailed:
		return c.giveUp(ctx, a, name, "The data was not backed up, and nothing was changed. "+r.message)
	}
	return r, nil
}

func (c *Controller) beginBackup(ctx context.Context, a *attempt, name string) (result, error) {
	r := waiting("BackingUp", objectName("Job", name)+" backs the data up.", 0)
	backup := fmt.Sprintf("%s-g%d", c.now().UTC().Format("20060102-150405"), a.store.Status.Release.Ready.Generation)
	env := map[string]string{envBackupName: backup}
	if a.restorePending() {
		env[envBackupSpare] = a.store.Spec.Restore.Backup
	}
	cronJob := a.engine.Spec.Backup.BackupCronJob
	if made, err := c.createDataJob(ctx, a, cronJob, name, map[string]string{annotationBackup: backup}, env); err != nil || made {
		return r, err
	}
	able, err := c.releaseHas(ctx, a, "batch/v1 CronJob", cronJob)
	switch {
	case err != nil:
		return result{}, err
	case able || a.restorePending():
		return c.giveUp(ctx, a, name, fmt.Sprintf("The data was not backed up, and nothing was changed. There is no CronJob %s.", cronJob))
	}
	// The chart that is installed is from before charts could.
	c.events.Eventf(a.store, nil, corev1.EventTypeWarning, "NotBackedUp", "Backup", "The chart of revision %d cannot back the data up: it is upgraded without.", a.release.Revision)
	return done("", ""), nil
}

// noteBackup puts the backup that the job has made into the status, and takes out
// those that it has removed.
func (c *Controller) noteBackup(ctx context.Context, a *attempt, job *batchv1.Job) (result, error) {
	name, status := job.Annotations[annotationBackup], &a.store.Status
	if slices.ContainsFunc(status.Backups, func(b v1alpha1.StoreBackup) bool { return b.Name == name }) {
		return done("", ""), nil
	}
	pods, err := c.podsOf(ctx, a, job)
	if err != nil {
		return result{}, err
	}
	if len(pods) == 0 {
		// Its report is gone with the pod, which a lost node or a cleaner takes.
		return waiting("BackingUp", objectName("Job", job.Name)+" has no pod that tells of the backup, and is made anew.", 0), c.deleteJob(ctx, a, job.Name)
	}
	kept := reportOf(pods)
	if _, ok := kept[name]; !ok {
		return c.giveUp(ctx, a, job.Name, fmt.Sprintf("The data was not backed up, and nothing was changed. %s does not tell of backup %q.", objectName("Job", job.Name), name))
	}
	backup := newBackup(status, a.restorePending() || a.dataReplaced())
	backup.Name, backup.Time = name, job.CreationTimestamp
	status.Backups = slices.Insert(status.Backups, 0, backup)
	c.events.Eventf(a.store, nil, corev1.EventTypeNormal, "BackedUp", "Backup", "The data of version %s was backed up as %s.", backup.Version, name)
	status.Backups = status.Backups[:min(len(status.Backups), maxBackups)]
	status.Backups = slices.DeleteFunc(status.Backups, func(b v1alpha1.StoreBackup) bool { _, ok := kept[b.Name]; return !ok })
	for i := range status.Backups {
		status.Backups[i].Bytes = kept[status.Backups[i].Name]
	}
	return done("", ""), c.writeStatus(ctx, a)
}

// newBackup is a backup of the data that the shop has now. It stands for the
// generations since the backup before; if there are none, for the same as that, or
// for none at all if the data is no generation's own: somebody wants to be rid of
// it, or it came with a restore and nobody has sold with it.
func newBackup(status *v1alpha1.StoreStatus, foreign bool) v1alpha1.StoreBackup {
	backup := v1alpha1.StoreBackup{Version: status.Version, FirstGeneration: 1, LastGeneration: status.Release.Ready.Generation}
	if len(status.Backups) == 0 {
		return backup
	}
	before := status.Backups[0]
	backup.FirstGeneration = before.LastGeneration + 1
	if before.LastGeneration >= backup.LastGeneration && !foreign {
		// The upgrade that the one before was made for did not come about.
		backup.FirstGeneration = before.FirstGeneration
	}
	return backup
}

// restorePending is true if a backup's data was asked for that has neither come
// nor been given up.
func (a *attempt) restorePending() bool {
	asked, answer := a.store.Spec.Restore, a.store.Status.Restored
	return asked != nil && (answer == nil || answer.Backup != asked.Backup || !answer.Time.Equal(&asked.Time))
}

// restoreFailed is true if the data that was asked for last was given up.
func (a *attempt) restoreFailed() bool {
	return a.store.Spec.Restore != nil && !a.restorePending() && a.store.Status.Restored.Result == restoreFailed
}

// restoreID tells a restore from every other of the same store.
func restoreID(restore *v1alpha1.StoreRestore) string {
	return restore.Backup + "@" + restore.Time.UTC().Format(time.RFC3339)
}

// restoreName is the name of the job that does the restore.
func restoreName(restore *v1alpha1.StoreRestore) string {
	sum := sha256.Sum256([]byte(restoreID(restore)))
	return "restore-" + hex.EncodeToString(sum[:5])
}

// restoreData is done when the data of the backup that is asked for has taken the
// place of the present one. The shop is stopped first, so that the backup that is
// made before lacks nothing, and started by the release that comes next.
func (c *Controller) restoreData(ctx context.Context, a *attempt) (result, error) {
	restore := a.store.Spec.Restore
	name := restoreName(restore)
	job, err := c.kube.BatchV1().Jobs(a.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return c.beginRestore(ctx, a, name)
	case err != nil:
		return result{}, fmt.Errorf("reading Job %s: %w", name, err)
	}
	switch state, r, err := c.dataJobState(ctx, a, job, "Restoring"); {
	case err != nil:
		return result{}, err
	case state == batchv1.JobComplete:
		// It is answered when a release runs on the data. Until then each attempt has
		// to find the job, and not back the data up as the version's before.
		if a.everReady() {
			a.store.Status.Release.Ready.DataReplaced = true
		}
		return done("", ""), nil
	case state == batchv1.JobFailed:
		// A job can have failed before its pods have ended, and one of them may still
		// put the data in place.
		pods, err := c.podsOf(ctx, a, job)
		if err != nil {
			return result{}, err
		}
		if pod := firstRunning(pods); pod != nil {
			return c.ending(a, "Restoring", objectName("Job", name)+" has failed.", pod), nil
		}
		return c.giveUp(ctx, a, name, fmt.Sprintf("The data of backup %s was not brought back, and the shop's is what it was. %s", restore.Backup, r.message))
	default:
		return r, nil
	}
}

func (c *Controller) beginRestore(ctx context.Context, a *attempt, name string) (result, error) {
	if why := a.cannotRestore(); why != "" {
		return c.giveUp(ctx, a, name, "The data was left as it is: "+why)
	}
	switch pod, err := c.stopShop(ctx, a); {
	case err != nil:
		return result{}, err
	case pod != nil:
		return c.ending(a, "Stopping", "The shop is stopped, to replace its data.", pod), nil
	}
	if r, err := c.backUp(ctx, a); err != nil || r.outcome != outcomeDone {
		return r, err
	}
	restore := a.store.Spec.Restore
	made, err := c.createDataJob(ctx, a, a.engine.Spec.Backup.RestoreCronJob, name, nil,
		map[string]string{envBackupName: restore.Backup, envRestoreID: restoreID(restore)})
	if err == nil && !made {
		return c.giveUp(ctx, a, name, fmt.Sprintf("The data was left as it is: there is no CronJob %s.", a.engine.Spec.Backup.RestoreCronJob))
	}
	return waiting("Restoring", fmt.Sprintf("%s brings the data of backup %s back.", objectName("Job", name), restore.Backup), 0), err
}

// cannotRestore says why the restore that is asked for must not be tried, or
// nothing. The API server has checked most of it, but time has gone by.
func (a *attempt) cannotRestore() string {
	restore, backups := a.store.Spec.Restore, a.store.Status.Backups
	i := slices.IndexFunc(backups, func(b v1alpha1.StoreBackup) bool { return b.Name == restore.Backup })
	switch {
	case a.engine.Spec.Backup == nil || a.engine.Spec.Backup.RestoreCronJob == "":
		return fmt.Sprintf("engine %q has no job that brings data back.", a.engine.Name)
	case i < 0:
		return fmt.Sprintf("there is no backup %s any more.", restore.Backup)
	case backups[i].Version != a.store.Spec.Version:
		return fmt.Sprintf("backup %s is of version %s, and version %s is asked for now.", restore.Backup, backups[i].Version, a.store.Spec.Version)
	case a.store.Spec.PowerState == v1alpha1.PowerStateHibernated:
		return "the store is hibernated."
	case !a.everReady():
		return "the shop has never been ready."
	}
	return ""
}

// noteRestored answers the restore whose data the release runs on.
func (c *Controller) noteRestored(a *attempt) {
	a.answerRestore(restoreSucceeded, "")
	c.events.Eventf(a.store, nil, corev1.EventTypeNormal, "DataRestored", "Restore", "The shop has the data of backup %s.", a.store.Spec.Restore.Backup)
}

// answerRestore notes what became of the restore, which is then not tried again.
func (a *attempt) answerRestore(result, message string) {
	restore := a.store.Spec.Restore
	a.store.Status.Restored = &v1alpha1.RestoreOutcome{Backup: restore.Backup, Time: restore.Time, Result: result, Message: clip(message)}
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

// ending tells that the pod has yet to end. It is Stalled if it should have long
// ago: a pod of a lost node stays until somebody who knows removes it.
func (c *Controller) ending(a *attempt, reason, message string, pod *corev1.Pod) result {
	r := waiting(reason, fmt.Sprintf("%s %s has not ended.", message, objectName("Pod", pod.Name)), 0)
	if pod.DeletionTimestamp == nil {
		return r
	}
	if left := pod.DeletionTimestamp.Add(a.deadline()).Sub(c.now()); left > 0 {
		r.again = left
		return r
	}
	r.stalled = true
	r.message += fmt.Sprintf(" It is being deleted for more than %s. If its node %s is lost for good, delete that.", a.deadline(), pod.Spec.NodeName)
	return r
}

// stopShop stops all of the release but its databases, and returns a pod that still
// runs, or nil. The release's jobs are deleted, to be run again on the other data.
func (c *Controller) stopShop(ctx context.Context, a *attempt) (*corev1.Pod, error) {
	deployments, err := c.kube.AppsV1().Deployments(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Deployments in namespace %s: %w", a.namespace, err)
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		if !ofRelease(d) || ptr.Deref(d.Spec.Replicas, 1) == 0 {
			continue
		}
		_, err := c.kube.AppsV1().Deployments(a.namespace).Patch(ctx, d.Name, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{FieldManager: FieldManager})
		if err != nil {
			return nil, fmt.Errorf("stopping Deployment %s: %w", d.Name, err)
		}
	}
	jobs, err := c.kube.BatchV1().Jobs(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Jobs in namespace %s: %w", a.namespace, err)
	}
	for i := range jobs.Items {
		if j := &jobs.Items[i]; ofRelease(j) {
			if err := c.deleteJob(ctx, a, j.Name); err != nil {
				return nil, err
			}
		}
	}
	pods, err := c.kube.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of namespace %s: %w", a.namespace, err)
	}
	return firstRunning(slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		owner := metav1.GetControllerOf(&p)
		return owner == nil || owner.Kind == "StatefulSet"
	})), nil
}

// firstRunning is the first of the pods that has not ended, or nil.
func firstRunning(pods []corev1.Pod) *corev1.Pod {
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool {
		return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
	})
	if i < 0 {
		return nil
	}
	return &pods[i]
}

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

// reportOf is what a job's pods have told of the backups that are kept: their sizes.
func reportOf(pods []corev1.Pod) map[string]int64 {
	kept := map[string]int64{}
	for i := range pods {
		for _, s := range pods[i].Status.ContainerStatuses {
			if s.State.Terminated == nil || s.State.Terminated.ExitCode != 0 {
				continue
			}
			lines := bufio.NewScanner(strings.NewReader(s.State.Terminated.Message))
			for lines.Scan() {
				name, size, _ := strings.Cut(lines.Text(), " ")
				if bytes, err := strconv.ParseInt(size, 10, 64); err == nil {
					kept[name] = bytes
				}
			}
		}
	}
	return kept
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
