package provisioner

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// sellingWorld is a shop that sells with version 2.0, whose engine also offers
// 3.0 and a larger plan.
func sellingWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, testStore())
	engine := testEngine()
	engine.Spec.ProgressDeadlineSeconds = 60
	engine.Spec.Versions = append(engine.Spec.Versions, v1alpha1.EngineVersion{Name: "3.0"}, v1alpha1.EngineVersion{Name: "4.0"})
	engine.Spec.Plans = append(engine.Spec.Plans, v1alpha1.EnginePlan{Name: "large", Quota: map[string]resource.Quantity{"limits.cpu": resource.MustParse("8")}})
	engine.Spec.Mappings = append(engine.Spec.Mappings, v1alpha1.ValueMapping{Value: "version", From: v1alpha1.StoreFieldVersion}, v1alpha1.ValueMapping{Value: "plan", From: v1alpha1.StoreFieldPlan})
	if err := w.informers[1].GetIndexer().Update(engine); err != nil {
		t.Fatal(err)
	}
	if _, err := w.kube.AppsV1().Deployments(testNamespace).Create(t.Context(), shopDeployment(1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.helm.Manifest = []helm.Object{{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"}}
	w.becomeReady(t)
	return w
}

func shopDeployment(available int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: released("shop"),
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}},
		Status:     appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: available},
	}
}

// setAvailable makes the shop's Deployment have its pod ready, or not.
func (w *world) setAvailable(t *testing.T, available int32) {
	t.Helper()
	if _, err := w.kube.AppsV1().Deployments(testNamespace).UpdateStatus(t.Context(), shopDeployment(available), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wantReturned checks a store that serves as before an upgrade that has failed.
func wantReturned(t *testing.T, store *v1alpha1.Store, why string) {
	t.Helper()
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "UpgradeFailed")
	wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, "UpgradeFailed")
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionFalse, "UpgradeFailed")
	wantCondition(t, store, v1alpha1.ConditionStorefrontReady, metav1.ConditionTrue, "Selling")
	message := store.Status.Conditions[slices.IndexFunc(store.Status.Conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionReady })].Message
	for _, part := range []string{"upgrade to version 3.0", "returned to revision 1 with version 2.0", why} {
		if !strings.Contains(message, part) {
			t.Errorf("Ready says %q, without %q", message, part)
		}
	}
	if store.Status.Version != "2.0" {
		t.Errorf("status.version is %q, want what runs", store.Status.Version)
	}
}

func TestUpgradeThatDoesNotBecomeReadyIsTakenBack(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Spec.Plan = "3.0", "large" })
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "WorkloadProgressing")
	if store.Status.Version != "3.0" {
		t.Errorf("status.version is %q while 3.0 is installed", store.Status.Version)
	}
	w.clock = w.clock.Add(59 * time.Second)
	w.reconcileOnce(t)
	if slices.Contains(w.helm.Actions(), "rollback") {
		t.Fatal("the upgrade was taken back before its deadline")
	}
	w.clock = w.clock.Add(2 * time.Second)
	store = w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "UpgradeFailed")

	// The process ends here: what was decided is in the cluster.
	w.memories = map[cacheKey]*memory{}
	w.setAvailable(t, 1)
	w.reconcileOnce(t)
	w.untilAnswered(t)
	store = w.reconcileOnce(t)
	wantReturned(t, store, "no progress for 1m0s. Deployment shop")
	w.reconcileOnce(t)
	w.wantQuota(t, "2", "after the return to the plan that runs")
	if revision := store.Status.Release.Revision; revision != 3 || store.Status.Release.Ready.Revision != 3 {
		t.Errorf("the release is %+v, want revision 3, which is ready", store.Status.Release)
	}

	// It is not tried again, and nothing is written while nothing changes.
	w.api.ClearActions()
	w.clock = w.clock.Add(time.Hour)
	w.reconcileOnce(t)
	w.untilAnswered(t)
	for _, action := range w.api.Actions() {
		if action.GetVerb() != "get" {
			t.Errorf("a store at rest was written: %s %s", action.GetVerb(), action.GetSubresource())
		}
	}
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade", "rollback"}) {
		t.Errorf("Helm was asked for %v", actions)
	}

	// Asked for something else, it is upgraded at once.
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "4.0" })
	store = w.becomeReady(t)
	if store.Status.Version != "4.0" || store.Status.Release.Failed != nil {
		t.Errorf("version %q, release %+v", store.Status.Version, store.Status.Release)
	}
	wantNoCondition(t, store, v1alpha1.ConditionStalled)
}

// A plan's bounds are raised before the shop grows into them, and lowered only when
// it has become smaller: a quota that is too small would refuse either.
func TestBoundsFollowTheShop(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Plan = "large" })
	w.helm.Fail = func(action string) error { w.wantQuota(t, "8", "before the "+action); return nil }
	w.reconcileOnce(t)
	w.setAvailable(t, 1)
	w.becomeReady(t)
	w.reconcileOnce(t)

	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Plan = "small" })
	w.reconcileOnce(t)
	w.wantQuota(t, "8", "while the larger shop may still run")
	w.memories = map[cacheKey]*memory{}
	w.reconcileOnce(t)
	w.wantQuota(t, "8", "after a restart")
	w.setAvailable(t, 1)
	w.becomeReady(t)
	w.reconcileOnce(t)
	w.wantQuota(t, "2", "when the smaller shop is ready")
}

// What a quota was raised to is not granted before its controller has seen it.
func TestRaisedQuotaIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	quotas := w.kube.CoreV1().ResourceQuotas(testNamespace)
	grant := func(cpu string) {
		t.Helper()
		quota, err := quotas.Get(t.Context(), "store-plan", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		quota.Status.Hard = corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse(cpu)}
		if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	grant("2")
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Plan = "large" })
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionNamespaceReady, metav1.ConditionFalse, "RaisingQuota")
	grant("8")
	w.becomeReady(t)
}

// wantQuota checks what the store's namespace may use.
func (w *world) wantQuota(t *testing.T, cpu, when string) {
	t.Helper()
	quota, err := w.kube.CoreV1().ResourceQuotas(testNamespace).Get(t.Context(), "store-plan", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := quota.Spec.Hard.Name("limits.cpu", "").String(); got != cpu {
		t.Errorf("%s the quota is %s CPUs, want %s", when, got, cpu)
	}
}

func TestProgressPutsTheDeadlineOff(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	for _, step := range []func(){
		func() {},
		func() { w.addPod(t, false) }, // The pod starts, and then runs.
		func() { w.addPod(t, true) },
	} {
		step()
		w.reconcileOnce(t)
		w.clock = w.clock.Add(50 * time.Second)
		w.reconcileOnce(t)
	}
	if slices.Contains(w.helm.Actions(), "rollback") {
		t.Fatal("an upgrade that came nearer was taken back")
	}
	// A pod that starts over and over comes no nearer.
	for range 3 {
		w.addPod(t, false)
		w.reconcileOnce(t)
		w.addPod(t, true)
		w.clock = w.clock.Add(20 * time.Second)
		w.reconcileOnce(t)
	}
	if !slices.Contains(w.helm.Actions(), "rollback") {
		t.Errorf("Helm was asked for %v, want a rollback", w.helm.Actions())
	}
}

// Pods that fail and are replaced come no nearer, however many there have been.
func TestFailedPodIsNoProgress(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Status: corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "Evicted",
		Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
	}}
	if got := reachedBy(pod); got != 0 {
		t.Errorf("an evicted pod counts %d, want 0", got)
	}
}

// Steps before there is a release have a deadline too, and go on when they can.
func TestStepBeforeTheReleaseHasADeadline(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	quotas := w.kube.CoreV1().ResourceQuotas(testNamespace)
	quota, err := quotas.Get(t.Context(), "store-plan", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	quota.Status.Hard = corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("2")}
	if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Plan = "large" })
	w.reconcileOnce(t)
	w.clock = w.clock.Add(59 * time.Second)
	wantNoCondition(t, w.reconcileOnce(t), v1alpha1.ConditionStalled)
	w.clock = w.clock.Add(time.Second)
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, "RaisingQuota")
	if got, want := readyMessage(store), "Waiting for the raised quota to be in force. There was no progress for 1m0s."; got != want {
		t.Errorf("the message is %q, want %q", got, want)
	}
	quota.Status.Hard = corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("8")}
	if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.becomeReady(t)
}

// A migration that has failed for good is not waited for, and what its pods said
// while there were some is told.
func TestUpgradeWhoseJobFailsIsTakenBackAtOnce(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	jobs, pods := w.kube.BatchV1().Jobs(testNamespace), w.kube.CoreV1().Pods(testNamespace)
	migrate := &batchv1.Job{ObjectMeta: released("migrate"), Spec: batchv1.JobSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"job": "migrate"}}}}
	if _, err := jobs.Create(t.Context(), migrate, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := w.helm.Manifest
	w.helm.Manifest = append(slices.Clone(before), helm.Object{APIVersion: "batch/v1", Kind: "Job", Name: "migrate"})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "migrate-1", Labels: map[string]string{"job": "migrate"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "migrate", TerminationMessagePolicy: corev1.TerminationMessageReadFile}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "migrate", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "column price is missing\n"},
		}}}},
	}
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	wantCondition(t, w.reconcileOnce(t), v1alpha1.ConditionWorkloadReady, metav1.ConditionFalse, "ContainerFailed")

	if err := pods.Delete(t.Context(), "migrate-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	migrate.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "it is over"}}
	if _, err := jobs.UpdateStatus(t.Context(), migrate, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.reconcileOnce(t)
	if err := jobs.Delete(t.Context(), "migrate", metav1.DeleteOptions{}); err != nil { // As the rollback does.
		t.Fatal(err)
	}
	w.helm.Manifest = before
	w.reconcileOnce(t)
	w.untilAnswered(t)
	store := w.reconcileOnce(t)
	wantReturned(t, store, "Job migrate: BackoffLimitExceeded: it is over Before: Pod migrate-1, container migrate: it ended with exit code 1 (Error): column price is missing")
}

// The deadline goes on where it was when the process starts again.
func TestDeadlineOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	w.reconcileOnce(t)
	w.clock = w.clock.Add(50 * time.Second)
	w.addPod(t, true) // That is progress.
	w.reconcileOnce(t)
	for range 2 {
		w.clock = w.clock.Add(29 * time.Second)
		w.memories = map[cacheKey]*memory{}
		w.reconcileOnce(t)
		if slices.Contains(w.helm.Actions(), "rollback") {
			t.Fatal("the upgrade was taken back before its deadline")
		}
	}
	w.api.ClearActions()
	w.reconcileOnce(t)
	for _, action := range w.api.Actions() {
		if action.GetVerb() != "get" {
			t.Errorf("a store that came no nearer was written: %s %s", action.GetVerb(), action.GetSubresource())
		}
	}
	w.clock = w.clock.Add(3 * time.Second)
	w.memories = map[cacheKey]*memory{}
	w.reconcileOnce(t)
	w.reconcileOnce(t)
	if !slices.Contains(w.helm.Actions(), "rollback") {
		t.Errorf("Helm was asked for %v, want a rollback", w.helm.Actions())
	}
}

func TestUpgradeThatHelmRefusesIsTakenBack(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.helm.Fail = func(action string) error {
		if action == "upgrade" {
			return errors.New("the cluster says no")
		}
		return nil
	}
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version = "3.0" })
	for range upgradeAttempts {
		w.reconcileOnce(t)
		w.clock = w.clock.Add(time.Minute)
	}
	w.reconcileOnce(t)
	w.untilAnswered(t)
	wantReturned(t, w.reconcileOnce(t), "the cluster says no")
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "upgrade", "upgrade", "upgrade", "rollback"}) {
		t.Errorf("Helm was asked for %v", actions)
	}
}

func TestWhatIsNoUpgradeIsNotTakenBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		begin  func(t *testing.T, w *world)
		reason string
	}{
		"a pod that fails later": {func(*testing.T, *world) {}, "WorkloadProgressing"},
		"a hibernated shop": {func(t *testing.T, w *world) {
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Spec.PowerState = "3.0", v1alpha1.PowerStateHibernated })
		}, "WorkloadProgressing"},
		"a shop that never sold": {func(t *testing.T, w *world) {
			w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Status.Release.Ready = "3.0", nil })
		}, "WorkloadProgressing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sellingWorld(t)
			w.setAvailable(t, 0)
			tc.begin(t, w)
			w.reconcileOnce(t)
			w.clock = w.clock.Add(time.Hour)
			store := w.reconcileOnce(t)
			wantCondition(t, store, v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.reason)
			if slices.Contains(w.helm.Actions(), "rollback") {
				t.Errorf("Helm was asked for %v", w.helm.Actions())
			}
		})
	}
}

func TestLostRevisionIsNotReturnedTo(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.setAvailable(t, 0)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Version, s.Status.Release.Ready.Revision = "3.0", 99 })
	w.reconcileOnce(t)
	w.clock = w.clock.Add(time.Hour)
	w.reconcileOnce(t)
	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReleaseInstalled, metav1.ConditionFalse, "RevisionLost")
	w.clock = w.clock.Add(time.Hour)
	w.setAvailable(t, 1)
	w.reconcileOnce(t)
	if store := w.refresh(t); store.Status.Version != "3.0" {
		t.Errorf("status.version is %q, want what is asked for, which is all there is", store.Status.Version)
	}
}
