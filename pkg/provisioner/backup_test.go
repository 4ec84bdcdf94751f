package provisioner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// backedWorld is a sellingWorld whose chart can back data up, and bring it back.
func backedWorld(t *testing.T) *world {
	t.Helper()
	w := sellingWorld(t)
	w.changeEngine(t, func(e *v1alpha1.Engine) {
		e.Spec.Backup = &v1alpha1.EngineBackup{BackupCronJob: "backup", RestoreCronJob: "restore"}
	})
	for _, name := range []string{"backup", "restore"} {
		w.helm.Manifest = append(w.helm.Manifest, helm.Object{APIVersion: "batch/v1", Kind: "CronJob", Name: name})
		_, err := w.kube.BatchV1().CronJobs(testNamespace).Create(t.Context(), &batchv1.CronJob{
			ObjectMeta: released(name),
			Spec: batchv1.CronJobSpec{Suspend: ptr.To(true), JobTemplate: batchv1.JobTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"part": name}},
				Spec: batchv1.JobSpec{ActiveDeadlineSeconds: ptr.To(int64(60)), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: name, Image: "postgres", Env: []corev1.EnvVar{{Name: "PGHOST", Value: "postgres"}}}},
				}}},
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.memories = map[cacheKey]*memory{} // The manifest has changed.
	w.kube.PrependReactor("create", "jobs", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		job := action.(clientgotesting.CreateAction).GetObject().(*batchv1.Job)
		job.CreationTimestamp, job.UID = metav1.NewTime(w.clock), uuid.NewUUID()
		return false, nil, nil
	})
	return w
}

func (w *world) changeEngine(t *testing.T, edit func(*v1alpha1.Engine)) {
	t.Helper()
	engine, err := w.engineLister.Get("medusa")
	if err != nil {
		t.Fatal(err)
	}
	engine = engine.DeepCopy()
	edit(engine)
	if err := w.informers[1].GetIndexer().Update(engine); err != nil {
		t.Fatal(err)
	}
}

// jobs are the names of the jobs in the store's namespace.
func (w *world) jobs(t *testing.T) []string {
	t.Helper()
	list, err := w.kube.BatchV1().Jobs(testNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

// job is the only job whose name begins so.
func (w *world) job(t *testing.T, prefix string) *batchv1.Job {
	t.Helper()
	names := slices.DeleteFunc(w.jobs(t), func(name string) bool { return !strings.HasPrefix(name, prefix) })
	if len(names) != 1 {
		t.Fatalf("the jobs %s* are %v, want one", prefix, names)
	}
	job, err := w.kube.BatchV1().Jobs(testNamespace).Get(t.Context(), names[0], metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func environment(job *batchv1.Job) map[string]string {
	env := map[string]string{}
	for _, e := range job.Spec.Template.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	return env
}

// endJob ends a job whose pod says message.
func (w *world) endJob(t *testing.T, prefix string, as batchv1.JobConditionType, message string) {
	t.Helper()
	job := w.job(t, prefix)
	job.Status.Conditions = []batchv1.JobCondition{{Type: as, Status: corev1.ConditionTrue, Reason: "Ended"}}
	if _, err := w.kube.BatchV1().Jobs(testNamespace).UpdateStatus(t.Context(), job, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{batchv1.ControllerUidLabel: string(job.UID)}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: job.Name + "-pod", Labels: labels}}
	exit := int32(0)
	pod.Status.Phase = corev1.PodSucceeded
	if as == batchv1.JobFailed {
		exit, pod.Status.Phase = 1, corev1.PodFailed
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exit, Message: message}}}}
	err := w.kube.CoreV1().Pods(testNamespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if _, err := w.kube.CoreV1().Pods(testNamespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// backUp ends a backup's job well: it keeps what it has made and the others.
func (w *world) backUp(t *testing.T, name string, others ...string) {
	t.Helper()
	lines := []string{environment(w.job(t, name))[envBackupName] + " 1000"}
	for _, name := range others {
		lines = append(lines, name+" 10")
	}
	w.endJob(t, name, batchv1.JobComplete, strings.Join(lines, "\n"))
}

// upgrade brings the new store to version 3.0, with its backup.
func (w *world) upgrade(t *testing.T) {
	t.Helper()
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	w.reconcileOnce(t)
	w.backUp(t, "backup-1")
	w.becomeReady(t)
}

func TestChangeOfVersionIsBackedUpBefore(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionFalse, "BackingUp")
	job := w.job(t, "backup-1")
	name := w.clock.UTC().Format("20060102-150405") + "-g1"
	if diff := cmp.Diff(map[string]string{"PGHOST": "postgres", "BACKUP_NAME": name}, environment(job)); diff != "" {
		t.Errorf("the job's environment (-want +got):\n%s", diff)
	}
	if job.Labels["part"] != "backup" || ptr.Deref(job.Spec.ActiveDeadlineSeconds, 0) != 60 {
		t.Errorf("the job is not that of the template: %+v", job)
	}
	// The process ends here, and the next one finds the job.
	w.memories = map[cacheKey]*memory{}
	w.reconcileOnce(t)
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
		t.Fatalf("Helm was asked for %v before there was a backup", actions)
	}
	w.backUp(t, "backup-1")
	store = w.becomeReady(t)
	want := []v1alpha1.StoreBackup{{Name: name, Time: job.CreationTimestamp, Version: "2.0", FirstGeneration: 1, LastGeneration: 1, Bytes: 1000}}
	if diff := cmp.Diff(want, store.Status.Backups); diff != "" {
		t.Errorf("the backups (-want +got):\n%s", diff)
	}
	if store.Status.Version != "3.0" {
		t.Errorf("status.version is %q", store.Status.Version)
	}
}

func TestWhatKeepsTheVersionIsNotBackedUp(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, w *world){
		"another title": func(t *testing.T, w *world) {
			w.change(t, func(s *v1alpha1.Store) { s.Spec.DisplayName = "Roses" })
		},
		"another plan": func(t *testing.T, w *world) { w.change(t, func(s *v1alpha1.Store) { s.Spec.Plan = "large" }) },
		"drift": func(_ *testing.T, w *world) {
			w.helm.Drifts = []helm.Drift{{Object: helm.Object{Kind: "Service", Name: "shop"}, Missing: true}}
		},
		"another version of an engine without backups": func(t *testing.T, w *world) {
			w.changeEngine(t, func(e *v1alpha1.Engine) { e.Spec.Backup = nil })
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
		},
		"another version over a chart without backups": func(t *testing.T, w *world) {
			w.helm.Manifest = w.helm.Manifest[:1]
			if err := w.kube.BatchV1().CronJobs(testNamespace).Delete(t.Context(), "backup", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := backedWorld(t)
			change(t, w)
			w.reconcileOnce(t)
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) || len(w.jobs(t)) > 0 {
				t.Errorf("Helm was asked for %v, and there are jobs %v", actions, w.jobs(t))
			}
		})
	}
}

func TestNewValuesOfAVersionAreBackedUpBefore(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	w.changeEngine(t, func(e *v1alpha1.Engine) { e.Spec.Versions[0].ChartVersion = "2.0.1" })
	w.reconcileOnce(t)
	if len(w.jobs(t)) > 0 {
		t.Fatalf("there are jobs %v, and a built-in chart has one version", w.jobs(t))
	}
	w.changeEngine(t, func(e *v1alpha1.Engine) {
		e.Spec.Versions[0].Values = &runtime.RawExtension{Raw: []byte(`{"image":"2.0-1"}`)}
	})
	w.reconcileOnce(t)
	w.job(t, "backup-")
}

func TestWithoutABackupThereIsNoUpgrade(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, w *world) string{
		"a job that fails": func(t *testing.T, w *world) string {
			w.endJob(t, "backup-1", batchv1.JobFailed, "no space left")
			return "Job backup-1: Ended"
		},
		"a job that tells of nothing": func(t *testing.T, w *world) string {
			w.endJob(t, "backup-1", batchv1.JobComplete, "")
			return "Job backup-1 does not tell of backup"
		},
		"a template that somebody has deleted": func(t *testing.T, w *world) string {
			for _, err := range []error{
				w.kube.BatchV1().Jobs(testNamespace).Delete(t.Context(), "backup-1", metav1.DeleteOptions{}),
				w.kube.BatchV1().CronJobs(testNamespace).Delete(t.Context(), "backup", metav1.DeleteOptions{}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			return "There is no CronJob backup"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := backedWorld(t)
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
			w.reconcileOnce(t)
			why := end(t, w)
			w.reconcileOnce(t)
			w.reconcileOnce(t)
			w.untilAnswered(t)
			store := w.reconcileOnce(t)
			wantReturned(t, store, "The data was not backed up, and nothing was changed. "+why)
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
				t.Errorf("Helm was asked for %v", actions)
			}
			if len(store.Status.Backups) > 0 {
				t.Errorf("the store has the backups %+v", store.Status.Backups)
			}
		})
	}
}

// What was backed up for another upgrade, or long ago, lacks what was sold since.
func TestBackupIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]func(t *testing.T, w *world){
		"for another version": func(t *testing.T, w *world) { w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "4.0" }) },
		"after a time":        func(_ *testing.T, w *world) { w.clock = w.clock.Add(backupFresh + time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := backedWorld(t)
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
			w.reconcileOnce(t)
			job := w.job(t, "backup-1")
			w.backUp(t, "backup-1")
			later(t, w)
			w.clock = w.clock.Add(time.Second)
			w.reconcileOnce(t)
			w.reconcileOnce(t)
			if now := environment(w.job(t, "backup-1"))[envBackupName]; now == environment(job)[envBackupName] {
				t.Errorf("the upgrade goes on with backup %s", now)
			}
			if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
				t.Errorf("Helm was asked for %v", actions)
			}
		})
	}
}

func TestHibernatedShopKeepsItsVersion(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Spec.PowerState = "3.0", v1alpha1.PowerStateHibernated })
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, "Hibernated")
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install"}) {
		t.Errorf("Helm was asked for %v", actions)
	}
}

// Each backup stands for the generations since the one before.
func TestBackupsStandForGenerations(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.DisplayName = "Roses Flowers" })
	w.becomeReady(t)
	w.clock = w.clock.Add(time.Minute)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	w.reconcileOnce(t)
	w.backUp(t, "backup-2")
	store := w.becomeReady(t)
	first := store.Status.Backups[0]
	w.clock = w.clock.Add(time.Minute)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "4.0" })
	w.reconcileOnce(t)
	w.endJob(t, "backup-3", batchv1.JobComplete, environment(w.job(t, "backup-3"))[envBackupName]+" 7\n"+first.Name+" 8\nby-hand 9")
	store = w.becomeReady(t)
	var got []string
	for _, b := range store.Status.Backups {
		got = append(got, fmt.Sprintf("%s %d-%d %d", b.Version, b.FirstGeneration, b.LastGeneration, b.Bytes))
	}
	if diff := cmp.Diff([]string{"3.0 3-3 7", "2.0 1-2 8"}, got); diff != "" {
		t.Errorf("the backups (-want +got):\n%s", diff)
	}
}

// What an upgrade that was taken back has spoiled is not what its revision had.
func TestUnwantedDataStandsForNoGeneration(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	w.reconcileOnce(t)
	w.backUp(t, "backup-1")
	w.reconcileOnce(t)
	w.clock = w.clock.Add(time.Hour)
	w.reconcileOnce(t)
	w.setAvailable(t, 1)
	w.reconcileOnce(t)
	w.untilAnswered(t)
	wantReturned(t, w.reconcileOnce(t), "no progress")

	wanted := w.askForData(t, "2.0").Backup
	w.reconcileOnce(t)
	w.backUp(t, "backup-3", wanted)
	w.reconcileOnce(t)
	w.endJob(t, "restore-", batchv1.JobComplete, "")
	w.reconcileOnce(t)
	w.startShop(t)
	store := w.becomeReady(t)
	var got []string
	for _, b := range store.Status.Backups {
		got = append(got, fmt.Sprintf("%s %d-%d", b.Version, b.FirstGeneration, b.LastGeneration))
	}
	if diff := cmp.Diff([]string{"2.0 2-1", "2.0 1-1"}, got); diff != "" {
		t.Errorf("the backups (-want +got):\n%s", diff)
	}
	if store.Status.Release.Failed != nil || store.Status.Restored.Result != restoreSucceeded {
		t.Errorf("the release is %+v, restored %+v", store.Status.Release, store.Status.Restored)
	}
}

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

// A shop that an upgrade has broken, and whose data cannot be backed up, goes back
// when its owner says so as it does by itself.
func TestGoingBackByHandNeedsNoBackup(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	w.reconcileOnce(t)
	w.backUp(t, "backup-1")
	w.reconcileOnce(t)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "2.0" })
	w.reconcileOnce(t)
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade"}) {
		t.Fatalf("Helm was asked for %v before a backup was tried", actions)
	}
	w.endJob(t, "backup-2", batchv1.JobFailed, "the database does not answer")
	w.reconcileOnce(t)
	w.setAvailable(t, 1)
	store := w.becomeReady(t)
	if store.Status.Version != "2.0" || len(store.Status.Backups) != 1 {
		t.Errorf("version %s, backups %+v", store.Status.Version, store.Status.Backups)
	}
	w.wantEvent(t, "NotBackedUp")
}

// wantEvent checks that there was an event with the reason since the last time.
func (w *world) wantEvent(t *testing.T, reason string) {
	t.Helper()
	for {
		select {
		case event := <-w.events.Events:
			if strings.Contains(event, reason) {
				return
			}
		default:
			t.Errorf("there was no event %s", reason)
			return
		}
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

// A backup that nobody tells of is made anew, and one that was told of needs no pod.
func TestBackupWhosePodIsGone(t *testing.T) {
	t.Parallel()
	w := backedWorld(t)
	removePod := func() {
		if err := w.kube.CoreV1().Pods(testNamespace).Delete(t.Context(), "backup-1-pod", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	w.reconcileOnce(t)
	first := w.job(t, "backup-1").UID
	w.backUp(t, "backup-1")
	removePod()
	w.reconcileOnce(t)
	w.reconcileOnce(t)
	if w.job(t, "backup-1").UID == first {
		t.Fatal("the backup is not made anew")
	}
	w.backUp(t, "backup-1")
	// Helm fails before it has made a revision.
	release, err := w.helm.Get(t.Context(), testNamespace, ReleaseName)
	if err != nil {
		t.Fatal(err)
	}
	w.helm.Fail = func(string) error { return errors.New("no route to the API server") }
	w.reconcileOnce(t)
	w.helm.Put(testNamespace, ReleaseName, *release)
	w.helm.Fail = nil
	removePod()
	w.clock = w.clock.Add(time.Minute)
	if store := w.becomeReady(t); store.Status.Version != "3.0" || len(store.Status.Backups) != 1 {
		t.Errorf("version %s, backups %+v", store.Status.Version, store.Status.Backups)
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
