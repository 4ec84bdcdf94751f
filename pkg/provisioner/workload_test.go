package provisioner

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
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

func TestWorkloadReadyNamesTheBlocker(t *testing.T) {
	t.Parallel()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	database := &appsv1.StatefulSet{ObjectMeta: released("db"), Spec: appsv1.StatefulSetSpec{Selector: selector}}
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "e"}, Type: corev1.EventTypeWarning, Reason: "FailedCreate",
		InvolvedObject: corev1.ObjectReference{Kind: "StatefulSet", Name: "db"}, Message: "exceeded quota: store-plan",
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "db-0", Labels: selector.MatchLabels},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-db-0"},
		}}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "unbound claims."}}},
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "data-db-0"}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}

	t.Run("no pods", func(t *testing.T) {
		t.Parallel()
		store := newWorld(t, testStore(), database.DeepCopy(), event).reconcileOnce(t)
		if got, want := readyMessage(store), "StatefulSet db: exceeded quota: store-plan"; got != want {
			t.Errorf("the message is %q, want %q", got, want)
		}
	})
	t.Run("no volume", func(t *testing.T) {
		t.Parallel()
		store := newWorld(t, testStore(), database.DeepCopy(), pod, claim).reconcileOnce(t)
		got := readyMessage(store)
		for _, want := range []string{"StatefulSet db", "Pod db-0", "unbound claims", "PersistentVolumeClaim data-db-0 is Pending"} {
			if !strings.Contains(got, want) {
				t.Errorf("the message %q does not name %q", got, want)
			}
		}
	})
}
