package provisioner

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

const (
	// backupFresh is how long a backup serves the upgrades that it was made for:
	// what is sold after it is not in it.
	backupFresh = 15 * time.Minute

	// maxBackups is how many backups the status holds.
	maxBackups = 32
)

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
