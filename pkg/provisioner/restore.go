package provisioner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// How a restore has ended.
const (
	restoreSucceeded = "succeeded"
	restoreFailed    = "failed"
)

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
