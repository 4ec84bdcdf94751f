package provisioner

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

func TestWorkloadIsReady(t *testing.T) {
	t.Parallel()
	two := ptr.To[int32](2)
	meta := metav1.ObjectMeta{Name: "x", Generation: 3}
	deploymentWith := func(s appsv1.DeploymentStatus) workload {
		return deployment(&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: two}, Status: s})
	}
	setWith := func(s appsv1.StatefulSetStatus) workload {
		return statefulSet(&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: two}, Status: s})
	}
	jobWith := func(c ...batchv1.JobCondition) workload {
		return job(&batchv1.Job{ObjectMeta: meta, Status: batchv1.JobStatus{Conditions: c}})
	}
	for name, tc := range map[string]struct {
		got    workload
		ready  bool
		broken string
	}{
		"deployment":                  {deploymentWith(appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}), true, ""},
		"deployment, not observed":    {deploymentWith(appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}), false, ""},
		"deployment, old pods":        {deploymentWith(appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 2}), false, ""},
		"deployment, not updated":     {deploymentWith(appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 1, AvailableReplicas: 2}), false, ""},
		"deployment, not available":   {deploymentWith(appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 1}), false, ""},
		"deployment over quota":       {deploymentWith(appsv1.DeploymentStatus{ObservedGeneration: 3, Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota"}}}), false, "FailedCreate"},
		"deployment scaled to zero":   {deployment(&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](0)}}), true, ""},
		"stateful set":                {setWith(appsv1.StatefulSetStatus{ObservedGeneration: 3, Replicas: 2, ReadyReplicas: 2, CurrentRevision: "a", UpdateRevision: "a"}), true, ""},
		"stateful set, rolling":       {setWith(appsv1.StatefulSetStatus{ObservedGeneration: 3, Replicas: 2, ReadyReplicas: 2, CurrentRevision: "a", UpdateRevision: "b"}), false, ""},
		"stateful set, not observed":  {setWith(appsv1.StatefulSetStatus{ObservedGeneration: 2, Replicas: 2, ReadyReplicas: 2}), false, ""},
		"stateful set, not ready":     {setWith(appsv1.StatefulSetStatus{ObservedGeneration: 3, Replicas: 2, ReadyReplicas: 1}), false, ""},
		"stateful set, not scaled up": {setWith(appsv1.StatefulSetStatus{ObservedGeneration: 3, Replicas: 1, ReadyReplicas: 1}), false, ""},
		"job":                         {jobWith(batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}), true, ""},
		"job, running":                {jobWith(), false, ""},
		"job, not failed":             {jobWith(batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionFalse}), false, ""},
		"job, failed":                 {jobWith(batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "DeadlineExceeded"}), false, "JobFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := ""
			if tc.got.broken != nil {
				broken = tc.got.broken.reason
			}
			if tc.got.ready != tc.ready || broken != tc.broken {
				t.Errorf("got ready %v, broken %q, want %v, %q", tc.got.ready, broken, tc.ready, tc.broken)
			}
		})
	}
}

func TestPodBlocker(t *testing.T) {
	t.Parallel()
	waitingFor := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := func(code int32, message string) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", Message: message}
	}
	app := func(s corev1.ContainerStatus) corev1.PodStatus {
		s.Name = "app"
		return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{s}}
	}
	for name, tc := range map[string]struct {
		status corev1.PodStatus
		policy corev1.TerminationMessagePolicy
		want   string
		failed bool
	}{
		"ready":   {status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}},
		"over":    {status: corev1.PodStatus{Phase: corev1.PodSucceeded}},
		"created": {status: corev1.PodStatus{Phase: corev1.PodPending}, want: "PodStarting: Pod p is starting."},
		"unschedulable": {
			status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available"}}},
			want:   "Unschedulable: Pod p cannot be scheduled: 0/1 nodes are available", failed: true,
		},
		"image": {
			status: app(corev1.ContainerStatus{State: waitingFor("ImagePullBackOff", "no such image")}),
			want:   "ImagePullBackOff: Pod p, container app: ImagePullBackOff: no such image", failed: true,
		},
		"image of an init container": {
			status: corev1.PodStatus{Phase: corev1.PodPending,
				InitContainerStatuses: []corev1.ContainerStatus{{Name: "wait", State: waitingFor("ErrImagePull", "")}},
				ContainerStatuses:     []corev1.ContainerStatus{{Name: "app", State: waitingFor("PodInitializing", "")}}},
			want: "ErrImagePull: Pod p, container wait: ErrImagePull", failed: true,
		},
		"crash, with words meant for us": {
			status: app(corev1.ContainerStatus{State: waitingFor("CrashLoopBackOff", "back-off 10s"), LastTerminationState: corev1.ContainerState{Terminated: ended(1, "no database\n")}}),
			policy: corev1.TerminationMessageReadFile,
			want:   "CrashLoopBackOff: Pod p, container app: CrashLoopBackOff: back-off 10s; it ended with exit code 1 (Error): no database", failed: true,
		},
		"crash, with the end of a log": {
			status: app(corev1.ContainerStatus{State: waitingFor("CrashLoopBackOff", "back-off 10s"), LastTerminationState: corev1.ContainerState{Terminated: ended(1, "password=hunter2")}}),
			policy: corev1.TerminationMessageFallbackToLogsOnError,
			want:   "CrashLoopBackOff: Pod p, container app: CrashLoopBackOff: back-off 10s; it ended with exit code 1 (Error)", failed: true,
		},
		"ended badly": {
			status: app(corev1.ContainerStatus{State: corev1.ContainerState{Terminated: ended(137, "")}}),
			want:   "ContainerFailed: Pod p, container app: it ended with exit code 137 (Error)", failed: true,
		},
		"not ready yet": {
			status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
			want:   "ContainerNotReady: Pod p, container app runs and is not ready yet.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: tc.status}
			pod.Spec.Containers = []corev1.Container{{Name: "app", TerminationMessagePolicy: tc.policy}}
			got, isFailed := "", false
			if r := podBlocker(pod); r != nil {
				got, isFailed = r.reason+": "+r.message, r.outcome == outcomeFailed
			}
			if got != tc.want || isFailed != tc.failed {
				t.Errorf("got %q, failed %v, want %q, %v", got, isFailed, tc.want, tc.failed)
			}
		})
	}
}

// blocked is a workload that does not become ready, and what the cluster holds of it.
type blocked struct {
	workload runtime.Object
	pods     []*corev1.Pod
	claims   []*corev1.PersistentVolumeClaim
	// event is the newest that tells of any of them.
	event *corev1.Event
}

// Whatever a workload waits for, the store's condition names the object, the
// container and the reason.
func TestWorkloadReadyNamesTheBlocker(t *testing.T) {
	t.Parallel()
	start := time.Now().Truncate(time.Second)
	after := func(d time.Duration) metav1.Time { return metav1.NewTime(start.Add(d)) }
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	shop := &appsv1.Deployment{ObjectMeta: released("shop"), Spec: appsv1.DeploymentSpec{Selector: selector}}
	database := &appsv1.StatefulSet{ObjectMeta: released("db"), Spec: appsv1.StatefulSetSpec{Selector: selector, Replicas: ptr.To[int32](2)}}
	migrate := &batchv1.Job{ObjectMeta: released("migrate"), Spec: batchv1.JobSpec{Selector: selector}}

	pod := func(name string, edits ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, UID: types.UID(name), Labels: selector.MatchLabels, CreationTimestamp: after(0)},
			Spec: corev1.PodSpec{
				Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}},
				Containers: []corev1.Container{{
					Name:           "app",
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{}}},
					LivenessProbe:  &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{}}},
				}},
			},
			Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: after(0)}}},
		}
		for _, edit := range edits {
			edit(p)
		}
		return p
	}
	in := func(state corev1.ContainerState, last *corev1.ContainerStateTerminated) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: state, LastTerminationState: corev1.ContainerState{Terminated: last}}}
		}
	}
	waits := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: after(0)}}
	outOfMemory := &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	unschedulable := func(message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}
		}
	}
	evicted := func(p *corev1.Pod) {
		p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	}
	claim := func(phase corev1.PersistentVolumeClaimPhase) []*corev1.PersistentVolumeClaim {
		return []*corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "data", UID: "data"}, Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}}
	}
	event := func(of corev1.ObjectReference, at time.Duration, reason, message string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "e"}, Type: corev1.EventTypeWarning,
			InvolvedObject: of, LastTimestamp: after(at), Reason: reason, Message: message}
	}
	inApp := corev1.ObjectReference{UID: "p", FieldPath: "spec.containers{app}"}
	quota := `pods "p" is forbidden: exceeded quota: store-plan, requested: memory=1Gi, used: memory=1Gi, limited: memory=1Gi`

	for name, tc := range map[string]struct {
		blocked
		want string
	}{
		"an image that cannot be pulled": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(waits("ImagePullBackOff", `Back-off pulling image "x"`), nil))}},
			`ImagePullBackOff: Deployment shop: Pod p, container app: ImagePullBackOff: Back-off pulling image "x"`,
		},
		"no node": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", unschedulable("0/3 nodes are available: 3 Insufficient memory."))}, claims: claim(corev1.ClaimBound)},
			"Unschedulable: Deployment shop: Pod p cannot be scheduled: 0/3 nodes are available: 3 Insufficient memory.",
		},
		"a quota, of a Deployment": {
			blocked{workload: &appsv1.Deployment{ObjectMeta: released("shop"), Spec: shop.Spec, Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: quota}}}}},
			"FailedCreate: Deployment shop: " + quota,
		},
		"a quota, of a StatefulSet": {
			blocked{workload: database, event: event(corev1.ObjectReference{Kind: "StatefulSet", Name: "db"}, 0, "FailedCreate", quota)},
			"FailedCreate: StatefulSet db: " + quota,
		},
		"a quota, for the second of a StatefulSet": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })},
				event: event(corev1.ObjectReference{Kind: "StatefulSet", Name: "db"}, 0, "FailedCreate", quota)},
			"FailedCreate: StatefulSet db: " + quota,
		},
		"a quota, of a Job": {
			blocked{workload: migrate, event: event(corev1.ObjectReference{Kind: "Job", Name: "migrate"}, 0, "FailedCreate", quota)},
			"FailedCreate: Job migrate: " + quota,
		},
		"no pods and no reason": {blocked{workload: database}, "WorkloadProgressing: StatefulSet db: it has no pods yet."},
		"a failed probe": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(runs, nil))}, event: event(inApp, 20*time.Second, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")},
			"Unhealthy: Deployment shop: Pod p, container app runs and is not ready yet: Readiness probe failed: HTTP probe failed with statuscode: 503",
		},
		"a failed probe's command may print secrets": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(runs, nil))}, event: event(inApp, 20*time.Second, "Unhealthy", "Liveness probe failed: password=hunter2")},
			"Unhealthy: Deployment shop: Pod p, container app runs and is not ready yet: Liveness probe failed",
		},
		"a probe that failed before the container started anew": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(runs, nil))}, event: event(inApp, -time.Second, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")},
			"ContainerNotReady: Deployment shop: Pod p, container app runs and is not ready yet.",
		},
		"a claim without a volume": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0", unschedulable("pod has unbound immediate PersistentVolumeClaims."))}, claims: claim(corev1.ClaimPending),
				event: event(corev1.ObjectReference{UID: "data"}, 0, "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`)},
			`Unschedulable: StatefulSet db: Pod db-0 cannot be scheduled: pod has unbound immediate PersistentVolumeClaims. PersistentVolumeClaim data is Pending: storageclass.storage.k8s.io "fast" not found`,
		},
		"a claim of which nobody says more": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0", unschedulable("unbound."))}, claims: claim(corev1.ClaimPending)},
			"Unschedulable: StatefulSet db: Pod db-0 cannot be scheduled: unbound. PersistentVolumeClaim data is Pending.",
		},
		"a claim that is gone": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0", unschedulable("claim not found."))}},
			"Unschedulable: StatefulSet db: Pod db-0 cannot be scheduled: claim not found. PersistentVolumeClaim data is not there.",
		},
		"a volume that cannot be mounted": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0")}, event: event(corev1.ObjectReference{UID: "db-0"}, 20*time.Second, "FailedMount", `MountVolume.SetUp failed for volume "tls": secret "tls" not found`)},
			`FailedMount: StatefulSet db: Pod db-0 is starting: MountVolume.SetUp failed for volume "tls": secret "tls" not found`,
		},
		"what was wrong before the pod had a node": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0")}, event: event(corev1.ObjectReference{UID: "db-0"}, -time.Second, "FailedScheduling", "no node")},
			"PodStarting: StatefulSet db: Pod db-0 is starting.",
		},
		"what was wrong in the second in which the pod got its node": {
			blocked{workload: database, pods: []*corev1.Pod{pod("db-0")}, event: event(corev1.ObjectReference{UID: "db-0"}, 500*time.Millisecond, "FailedScheduling", "no node")},
			"PodStarting: StatefulSet db: Pod db-0 is starting.",
		},
		"a job that has failed": {
			blocked{workload: &batchv1.Job{ObjectMeta: released("migrate"), Spec: migrate.Spec, Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{
				{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}}}},
				pods: []*corev1.Pod{pod("migrate-1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, in(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}, nil))}},
			"JobFailed: Job migrate: BackoffLimitExceeded: Job has reached the specified backoff limit Pod migrate-1, container app: it ended with exit code 1 (Error)",
		},
		"an init container that crashes": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(waits("PodInitializing", ""), nil), func(p *corev1.Pod) {
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "wait", State: waits("CrashLoopBackOff", "back-off 40s restarting failed container"),
					LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}}}}
			})}},
			"CrashLoopBackOff: Deployment shop: Pod p, container wait: CrashLoopBackOff: back-off 40s restarting failed container; it ended with exit code 2 (Error)",
		},
		"too little memory": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(waits("CrashLoopBackOff", "back-off 10s"), outOfMemory))}},
			"CrashLoopBackOff: Deployment shop: Pod p, container app: CrashLoopBackOff: back-off 10s; it ended with exit code 137 (OOMKilled)",
		},
		"too little memory, and started again": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(runs, outOfMemory))}},
			"ContainerNotReady: Deployment shop: Pod p, container app runs and is not ready yet; before, it ended with exit code 137 (OOMKilled).",
		},
		"a secret that is not there": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", in(waits("CreateContainerConfigError", `secret "keys" not found`), nil))}},
			`CreateContainerConfigError: Deployment shop: Pod p, container app: CreateContainerConfigError: secret "keys" not found`,
		},
		"evicted": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("p", evicted)}},
			"PodFailed: Deployment shop: Pod p has failed: Evicted: The node was low on resource: memory.",
		},
		"evicted, and another in its place": {
			blocked{workload: shop, pods: []*corev1.Pod{pod("a", evicted), pod("p", in(waits("ContainerCreating", ""), nil))}},
			"PodStarting: Deployment shop: Pod p is starting.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := []runtime.Object{tc.workload.DeepCopyObject()}
			for _, p := range tc.pods {
				objects = append(objects, p)
			}
			for _, c := range tc.claims {
				objects = append(objects, c)
			}
			if tc.event != nil {
				objects = append(objects, tc.event)
			}
			w := newWorld(t, testStore(), objects...)
			w.helm.Manifest = []helm.Object{
				{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"}, {APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db"}, {APIVersion: "batch/v1", Kind: "Job", Name: "migrate"},
			}
			w.clock = start.Add(time.Minute)
			ready := (&attempt{store: w.reconcileOnce(t)}).condition(v1alpha1.ConditionReady)
			if got := ready.Reason + ": " + ready.Message; got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

// The events of a pod are asked for when it takes long: a start that goes well costs
// no request.
func TestQuickStartAsksForNoEvents(t *testing.T) {
	t.Parallel()
	w := sellingWorld(t)
	w.setAvailable(t, 0)
	w.addPod(t, true)
	pods := w.kube.CoreV1().Pods(testNamespace)
	pod, err := pods.Get(t.Context(), "shop-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(w.clock)
	if _, err := pods.Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after time.Duration
		asks  bool
	}{{slowPod - time.Second, false}, {slowPod, true}} {
		w.kube.ClearActions()
		w.clock = pod.Status.ContainerStatuses[0].State.Running.StartedAt.Add(tc.after)
		w.reconcileOnce(t)
		asks := slices.ContainsFunc(w.kube.Actions(), func(a clientgotesting.Action) bool { return a.Matches("list", "events") })
		if asks != tc.asks {
			t.Errorf("%s after the start events are asked for: %v, want %v", tc.after, asks, tc.asks)
		}
	}
}
