package provisioner

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

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
