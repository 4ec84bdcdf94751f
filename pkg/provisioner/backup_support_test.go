package provisioner

import (
	"slices"
	"strings"
	"testing"

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
