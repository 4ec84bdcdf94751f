package provisioner

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// askForData asks for the data of the oldest backup, as a rollback to version does.
func (w *world) askForData(t *testing.T, version string) *v1alpha1.StoreRestore {
	t.Helper()
	backups := w.refresh(t).Status.Backups
	restore := &v1alpha1.StoreRestore{Backup: backups[len(backups)-1].Name, Time: metav1.NewTime(w.clock).Rfc3339Copy()}
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Spec.Restore = version, restore })
	return restore
}

// replicas is how many pods the shop's Deployment is to have.
func (w *world) replicas(t *testing.T) int32 {
	t.Helper()
	d, err := w.kube.AppsV1().Deployments(testNamespace).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ptr.Deref(d.Spec.Replicas, 1)
}

// startShop does with the shop what the real Helm does.
func (w *world) startShop(t *testing.T) {
	t.Helper()
	d := shopDeployment(1)
	d.Generation, d.Status.ObservedGeneration = 2, 2
	if _, err := w.kube.AppsV1().Deployments(testNamespace).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestDataIsRestoredWhileTheShopIsStopped(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]string{"with its version": "2.0", "of the version that runs": "3.0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := backedWorld(t)
			w.upgrade(t)
			if version == "3.0" {
				w.change(t, func(s *v1alpha1.Store) { s.Status.Backups[0].Version = "3.0" })
			}
			w.clock = w.clock.Add(time.Minute)
			before := len(w.helm.Actions())
			w.addPod(t, true)
			pod, err := w.kube.CoreV1().Pods(testNamespace).Get(t.Context(), "shop-1", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Controller: ptr.To(true)}}
			if _, err := w.kube.CoreV1().Pods(testNamespace).Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			restore := w.askForData(t, version)
			store := w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "Stopping")
			if w.replicas(t) != 0 || !slices.Equal(w.jobs(t), []string{"backup-1"}) {
				t.Fatalf("%d replicas, jobs %v while the shop stops", w.replicas(t), w.jobs(t))
			}
			if err := w.kube.CoreV1().Pods(testNamespace).Delete(t.Context(), "shop-1", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.reconcileOnce(t)
			env := environment(w.job(t, "backup-2"))
			if env[envBackupSpare] != restore.Backup {
				t.Errorf("the backup before is not told to spare %s: %v", restore.Backup, env)
			}
			w.reconcileOnce(t)
			if len(w.jobs(t)) != 2 {
				t.Fatalf("there are jobs %v before the present data is backed up", w.jobs(t))
			}
			w.endJob(t, "backup-2", batchv1.JobComplete, env[envBackupName]+" 7\n"+restore.Backup+" 8")
			w.reconcileOnce(t)
			env = environment(w.job(t, "restore-"))
			if env[envBackupName] != restore.Backup || env[envRestoreID] == "" {
				t.Errorf("the environment of the restore is %v", env)
			}
			// The process ends here, and the next one finds the job.
			w.memories = map[cacheKey]*memory{}
			w.reconcileOnce(t)
			if len(w.helm.Actions()) != before {
				t.Fatalf("Helm was asked for %v before the data was there", w.helm.Actions()[before:])
			}
			w.endJob(t, "restore-", batchv1.JobComplete, "")
			w.reconcileOnce(t)
			w.startShop(t)
			store = w.becomeReady(t)
			if store.Status.Version != version || store.Status.Restored.Result != restoreSucceeded || len(store.Status.Backups) != 2 {
				t.Errorf("version %s, restored %+v, backups %+v", store.Status.Version, store.Status.Restored, store.Status.Backups)
			}
			// It is done once, whatever becomes of the job.
			if err := w.kube.BatchV1().Jobs(testNamespace).Delete(t.Context(), w.job(t, "restore-").Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.reconcileOnce(t)
			if actions := w.helm.Actions()[before:]; !slices.Equal(actions, []string{"upgrade"}) || len(w.jobs(t)) != 2 {
				t.Errorf("Helm was asked for %v; jobs %v", actions, w.jobs(t))
			}
		})
	}
}

func TestFailedRestoreLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fail func(t *testing.T, w *world)
		why  string
	}{
		"the restore fails": {func(t *testing.T, w *world) {
			w.backUp(t, "backup-2", w.refresh(t).Spec.Restore.Backup)
			w.reconcileOnce(t)
			if w.replicas(t) != 0 {
				t.Fatal("the shop was not stopped")
			}
			w.endJob(t, "restore-", batchv1.JobFailed, "")
		}, "was not brought back, and the shop's is what it was. Job restore-"},
		"the present data cannot be backed up": {func(t *testing.T, w *world) {
			w.endJob(t, "backup-2", batchv1.JobFailed, "")
		}, "The data was not backed up, and nothing was changed. Job backup-2"},
		"another version is asked for meanwhile": {func(t *testing.T, w *world) {
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "4.0" })
		}, "is of version 2.0, and version 4.0 is asked for now"},
		"the backup is gone meanwhile": {func(t *testing.T, w *world) {
			w.change(t, func(s *v1alpha1.Store) { s.Status.Backups = nil })
		}, "there is no backup"},
		"the engine cannot": {func(t *testing.T, w *world) {
			w.changeEngine(t, func(e *v1alpha1.Engine) { e.Spec.Backup.RestoreCronJob = "" })
		}, `engine "medusa" has no job that brings data back`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := backedWorld(t)
			w.upgrade(t)
			w.clock = w.clock.Add(time.Minute)
			w.askForData(t, "2.0")
			w.reconcileOnce(t)
			tc.fail(t, w)
			w.reconcileOnce(t)
			w.helm.Drifts = []helm.Drift{{Object: helm.Object{Kind: "Deployment", Name: "shop"}, Field: "spec.replicas"}}
			w.startShop(t)
			w.reconcileOnce(t)
			w.untilAnswered(t)
			store := w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "UpgradeFailed")
			if actions := w.helm.Actions(); actions[len(actions)-1] != "rollback" {
				t.Errorf("the shop was not started again: %v", actions)
			}
			if store.Status.Version != "3.0" || store.Status.Restored == nil || store.Status.Restored.Result != restoreFailed || !strings.Contains(store.Status.Restored.Message, tc.why) {
				t.Errorf("version %s, restored %+v", store.Status.Version, store.Status.Restored)
			}
			jobs := w.jobs(t)
			w.clock = w.clock.Add(time.Hour)
			w.reconcileOnce(t)
			if !slices.Equal(jobs, w.jobs(t)) {
				t.Errorf("it was tried again: jobs %v after %v", w.jobs(t), jobs)
			}

			// Nor is the version brought without the data because the platform changed.
			w.changeEngine(t, func(e *v1alpha1.Engine) { e.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"replicas":2}`)} })
			before := len(w.helm.Actions())
			w.reconcileOnce(t)
			if actions := w.helm.Actions()[before:]; len(actions) > 0 || !slices.Equal(jobs, w.jobs(t)) {
				t.Fatalf("the engine changed, and Helm was asked for %v; jobs %v after %v", actions, w.jobs(t), jobs)
			}
			w.changeEngine(t, func(e *v1alpha1.Engine) { e.Spec.Values = nil })

			// What is asked for next comes without the data that did not.
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
			w.untilAnswered(t)
			store = w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "Selling")
			if !slices.Equal(jobs, w.jobs(t)) {
				t.Errorf("the data was asked for again: jobs %v after %v", w.jobs(t), jobs)
			}
		})
	}
}

// restoring is a shop of version 3.0 that is to go back to 2.0 with its data, whose
// job is at work.
func restoring(t *testing.T) *world {
	t.Helper()
	w := backedWorld(t)
	w.upgrade(t)
	w.clock = w.clock.Add(time.Minute)
	wanted := w.askForData(t, "2.0").Backup
	w.reconcileOnce(t)
	w.backUp(t, "backup-2", wanted)
	w.reconcileOnce(t)
	return w
}

// askedAndRestored is the shop of restoring with its data there already.
func askedAndRestored(t *testing.T) *world {
	t.Helper()
	w := restoring(t)
	w.endJob(t, "restore-", batchv1.JobComplete, "")
	return w
}

// What was ready before must not run on the data of another version.
func TestNothingReturnsToBeforeARestore(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(t *testing.T, w *world){
		"Helm fails": func(t *testing.T, w *world) {
			w.helm.Fail = func(string) error { return errors.New("no route to the API server") }
			for range upgradeAttempts + 1 {
				w.reconcileOnce(t)
				w.clock = w.clock.Add(time.Hour)
			}
			w.helm.Fail = nil
		},
		"the shop does not come up": func(t *testing.T, w *world) {
			w.reconcileOnce(t)
			w.setAvailable(t, 0)
			w.reconcileOnce(t)
			w.clock = w.clock.Add(time.Hour)
			wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionStalled, metav1.ConditionTrue, "WorkloadProgressing")
		},
		"a job of the release fails": func(t *testing.T, w *world) {
			w.reconcileOnce(t)
			if _, err := w.kube.BatchV1().Jobs(testNamespace).Create(t.Context(), &batchv1.Job{ObjectMeta: released("migrate")}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			w.endJob(t, "migrate", batchv1.JobFailed, "")
			w.reconcileOnce(t)
			w.endJob(t, "migrate", batchv1.JobComplete, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := askedAndRestored(t)
			fail(t, w)
			store := w.reconcileOnce(t)
			if store.Status.Release.Failed != nil || slices.Contains(w.helm.Actions(), "rollback") {
				t.Fatalf("the shop returns to version 3.0 on the data of 2.0: %v, %+v", w.helm.Actions(), store.Status.Release.Failed)
			}
			w.startShop(t)
			w.clock = w.clock.Add(time.Hour)
			store = w.becomeReady(t)
			if store.Status.Version != "2.0" || store.Status.Release.Ready.DataReplaced {
				t.Errorf("version %s, ready %+v", store.Status.Version, store.Status.Release.Ready)
			}
		})
	}
}

// A restore is undone with the data or not at all, even if that cannot be backed up
// at first.
func TestDataOfAnotherVersionIsNotRun(t *testing.T) {
	t.Parallel()
	w := askedAndRestored(t)
	w.reconcileOnce(t)
	w.setAvailable(t, 0)
	backups := w.refresh(t).Status.Backups
	restore := &v1alpha1.StoreRestore{Backup: backups[0].Name, Time: metav1.NewTime(w.clock.Add(time.Minute)).Rfc3339Copy()}
	w.clock = w.clock.Add(time.Minute)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Spec.Restore = "3.0", restore })
	before := len(w.helm.Actions())
	w.reconcileOnce(t)
	w.endJob(t, "backup-3", batchv1.JobFailed, "no space left")
	for range 4 {
		w.reconcileOnce(t)
		w.clock = w.clock.Add(time.Minute)
	}
	w.backUp(t, "backup-3", restore.Backup)
	w.reconcileOnce(t)
	if actions := w.helm.Actions()[before:]; len(actions) > 0 {
		t.Errorf("Helm was asked for %v on the data of version 2.0", actions)
	}
	if _, ok := environment(w.job(t, restoreName(restore)))[envRestoreID]; !ok {
		t.Error("the data is not asked for any more")
	}
}

// The data of a restore is not backed up as the version's that ran before it.
func TestRestoredDataIsNotBackedUpBeforeItRuns(t *testing.T) {
	t.Parallel()
	w := askedAndRestored(t)
	backups := w.refresh(t).Status.Backups
	w.helm.Fail = func(string) error { return errors.New("no route to the API server") }
	w.reconcileOnce(t)
	if restored := w.refresh(t).Status.Restored; restored != nil {
		t.Errorf("the restore is answered by %+v before a release runs on its data", restored)
	}
	w.helm.Fail = nil
	w.memories = map[cacheKey]*memory{}
	w.clock = w.clock.Add(time.Hour)
	w.reconcileOnce(t)
	w.startShop(t)
	store := w.becomeReady(t)
	if diff := cmp.Diff(backups, store.Status.Backups); diff != "" {
		t.Errorf("the backups (-before +after):\n%s", diff)
	}
	if len(w.jobs(t)) != 3 || store.Status.Restored.Result != restoreSucceeded {
		t.Errorf("jobs %v, restored %+v", w.jobs(t), store.Status.Restored)
	}
}

// editPod changes the only pod whose name begins so.
func (w *world) editPod(t *testing.T, prefix string, edit func(*corev1.Pod)) {
	t.Helper()
	pods, err := w.kube.CoreV1().Pods(testNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool { return strings.HasPrefix(p.Name, prefix) })
	if i < 0 {
		t.Fatalf("there is no pod %s*", prefix)
	}
	edit(&pods.Items[i])
	if _, err := w.kube.CoreV1().Pods(testNamespace).Update(t.Context(), &pods.Items[i], metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A restore has not failed while one of its pods may still put the data in place,
// and a pod that never ends is told of.
func TestFailedRestoreIsAnsweredWhenItsPodsHaveEnded(t *testing.T) {
	t.Parallel()
	w := restoring(t)
	w.endJob(t, "restore-", batchv1.JobFailed, "")
	w.editPod(t, "restore-", func(p *corev1.Pod) {
		p.Status.Phase, p.DeletionTimestamp, p.Spec.NodeName = corev1.PodRunning, ptr.To(metav1.NewTime(w.clock)), "lost-node"
	})
	store := w.reconcileOnce(t)
	if store.Status.Restored != nil || store.Status.Release.Failed != nil {
		t.Fatalf("the restore is answered by %+v while its pod runs", store.Status.Restored)
	}
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionFalse, "Restoring")
	wantNoCondition(t, store, v1alpha1.ConditionStalled)
	w.clock = w.clock.Add(time.Hour)
	wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionStalled, metav1.ConditionTrue, "Restoring")
	w.editPod(t, "restore-", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
	if store = w.reconcileOnce(t); store.Status.Restored == nil || store.Status.Restored.Result != restoreFailed {
		t.Errorf("the restore is answered by %+v when its pod has ended", store.Status.Restored)
	}
}
