package provisioner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// deletedWorld holds a ready store that its user has deleted.
func deletedWorld(t *testing.T, policy v1alpha1.DeletionPolicy) *world {
	t.Helper()
	store := testStore()
	store.Spec.DeletionPolicy = policy
	w := newWorld(t, store)
	w.becomeReady(t)
	w.change(t, func(s *v1alpha1.Store) {
		now := metav1.NewTime(w.clock)
		s.DeletionTimestamp = &now
	})
	return w
}

func (w *world) addVolume(t *testing.T, policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	t.Helper()
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-1"},
		Spec: corev1.PersistentVolumeSpec{
			ClaimRef:                      &corev1.ObjectReference{Namespace: testNamespace, Name: "data"},
			PersistentVolumeReclaimPolicy: policy,
		},
	}
	if err := w.volumes.Add(volume); err != nil {
		t.Fatal(err)
	}
	return volume
}

func readyMessage(s *v1alpha1.Store) string {
	for _, c := range s.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Message
		}
	}
	return ""
}

func TestDeleteIsVerified(t *testing.T) {
	t.Parallel()
	w := deletedWorld(t, v1alpha1.DeletionPolicyDelete)
	volume := w.addVolume(t, corev1.PersistentVolumeReclaimRetain)

	store := w.reconcileOnce(t)
	wantCondition(t, store, v1alpha1.ConditionReady, metav1.ConditionFalse, "Deleting")
	if actions := w.helm.Actions(); !slices.Equal(actions, []string{"install", "uninstall"}) {
		t.Errorf("Helm was asked for %v", actions)
	}
	if _, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace was not deleted (error %v)", err)
	}

	store = w.reconcileOnce(t)
	if message := readyMessage(store); !hasFinalizer(store) || !strings.Contains(message, "PersistentVolume pv-1 (its reclaim policy is Retain") {
		t.Errorf("the store waits with %q and finalizers %v", message, store.Finalizers)
	}
	if err := w.volumes.Delete(volume); err != nil {
		t.Fatal(err)
	}
	store = w.reconcileOnce(t)
	if !slices.Equal(store.Finalizers, []string{"other"}) {
		t.Errorf("the finalizers are %v, want only the other's", store.Finalizers)
	}
	w.reconcileOnce(t) // A store that waits for somebody else is no business of ours.
}

// stayTerminating has the namespace stay when it is deleted, for these reasons.
func (w *world) stayTerminating(conditions ...corev1.NamespaceCondition) {
	w.kube.PrependReactor("delete", "namespaces", func(clientgotesting.Action) (bool, runtime.Object, error) {
		namespaces := corev1.SchemeGroupVersion.WithResource("namespaces")
		obj, err := w.kube.Tracker().Get(namespaces, "", testNamespace)
		if err != nil {
			return true, nil, err
		}
		ns := obj.(*corev1.Namespace).DeepCopy()
		now := metav1.NewTime(w.clock)
		ns.DeletionTimestamp, ns.Finalizers, ns.Status.Conditions = &now, []string{"kubernetes"}, conditions
		return true, nil, w.kube.Tracker().Update(namespaces, ns, "")
	})
}

func TestDeleteNamesWhatBlocksTheNamespace(t *testing.T) {
	t.Parallel()
	finalizers := corev1.NamespaceCondition{Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionTrue, Message: "Some content in the namespace has finalizers remaining: x.io/lock in 1 resource instances"}
	content := corev1.NamespaceCondition{Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue, Message: "Some resources are remaining: pods. has 1 resource instances"}
	forbidden := func(w *world) {
		w.kube.PrependReactor("list", "pods", func(clientgotesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("the RoleBinding is gone"))
		})
	}
	for name, tc := range map[string]struct {
		conditions []corev1.NamespaceCondition
		prepare    func(*world)
		want       string
	}{
		"nothing yet":    {nil, nil, ""},
		"nothing is bad": {[]corev1.NamespaceCondition{{Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionFalse, Message: "all fine"}}, nil, ""},
		"finalizers": {[]corev1.NamespaceCondition{finalizers}, nil,
			" NamespaceFinalizersRemaining: " + finalizers.Message + " services/shop has finalizer x.io/lock."},
		"finalizers, after a restart": {[]corev1.NamespaceCondition{finalizers}, func(w *world) { w.memories = map[cacheKey]*memory{} },
			" NamespaceFinalizersRemaining: " + finalizers.Message},
		"a pod": {[]corev1.NamespaceCondition{content}, nil,
			" NamespaceContentRemaining: " + content.Message + ` Pod db-0 on node "worker-1" has not ended.`},
		"a pod that may not be seen": {[]corev1.NamespaceCondition{content}, forbidden,
			" NamespaceContentRemaining: " + content.Message},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := deletedWorld(t, v1alpha1.DeletionPolicyDelete)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "db-0"}, Spec: corev1.PodSpec{NodeName: "worker-1"}}
			if err := w.kube.Tracker().Add(pod); err != nil {
				t.Fatal(err)
			}
			scheme := metadatafake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			service := func(name string, finalizers ...string) *metav1.PartialObjectMetadata {
				return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
					ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, Finalizers: finalizers}}
			}
			w.watches.client = metadatafake.NewSimpleMetadataClient(scheme, service("shop", "x.io/lock"), service("db", "x.io/other"), service("free"))
			w.stayTerminating(tc.conditions...)
			w.reconcileOnce(t)
			if tc.prepare != nil {
				tc.prepare(w)
			}
			want := "Waiting for namespace " + testNamespace + " to go." + tc.want
			if got := readyMessage(w.reconcileOnce(t)); got != want {
				t.Errorf("the message is\n%q, want\n%q", got, want)
			}
		})
	}
}

// What somebody else has installed in a namespace that is kept stays there.
func TestRetainLeavesAForeignRelease(t *testing.T) {
	t.Parallel()
	w := deletedWorld(t, v1alpha1.DeletionPolicyRetain)
	w.helm.Put(testNamespace, ReleaseName, helm.Release{Revision: 7, Status: helm.StatusDeployed})
	store := w.reconcileOnce(t)
	if hasFinalizer(store) || slices.Contains(w.helm.Actions(), "uninstall") {
		t.Errorf("finalizers %v, Helm's actions %v", store.Finalizers, w.helm.Actions())
	}
}

func TestDeleteGoesOnWhenUninstallFails(t *testing.T) {
	t.Parallel()
	w := deletedWorld(t, v1alpha1.DeletionPolicyDelete)
	w.helm.Fail = func(string) error { return errors.New("corrupted release record") }
	store := w.reconcileOnce(t)
	if _, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a failed uninstall keeps the namespace (error %v)", err)
	}
	if action := store.Status.Release.Actions[0]; action.Action != "uninstall" || action.Result != "failed" {
		t.Errorf("the last action is %+v", action)
	}
}

func TestDeleteTouchesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	w := deletedWorld(t, v1alpha1.DeletionPolicyDelete)
	ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ns.Labels[LabelStoreUID] = "another"
	if err := w.kube.Tracker().Update(corev1.SchemeGroupVersion.WithResource("namespaces"), ns, ""); err != nil {
		t.Fatal(err)
	}
	store := w.reconcileOnce(t)
	if _, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{}); err != nil {
		t.Errorf("the namespace of another store: %v", err)
	}
	if hasFinalizer(store) || slices.Contains(w.helm.Actions(), "uninstall") {
		t.Errorf("finalizers %v, Helm's actions %v", store.Finalizers, w.helm.Actions())
	}
}

func TestRetainKeepsTheData(t *testing.T) {
	t.Parallel()
	w := deletedWorld(t, v1alpha1.DeletionPolicyRetain)
	w.addVolume(t, corev1.PersistentVolumeReclaimDelete)
	store := w.reconcileOnce(t)
	ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), testNamespace, metav1.GetOptions{})
	if err != nil || ns.Labels["platform.dev/retained"] != "true" || ns.Labels["platform.dev/store-uid"] != "5b2c9f1e" {
		t.Errorf("the namespace has labels %v (error %v)", ns.Labels, err)
	}
	if _, err := w.kube.CoreV1().Secrets(testNamespace).Get(t.Context(), CredentialsSecret, metav1.GetOptions{}); err != nil {
		t.Errorf("the credentials: %v", err)
	}
	if hasFinalizer(store) || !slices.Contains(w.helm.Actions(), "uninstall") {
		t.Errorf("finalizers %v, Helm's actions %v", store.Finalizers, w.helm.Actions())
	}
}

func TestSuspendedStoreIsDeleted(t *testing.T) {
	t.Parallel()
	w := deletedWorld(t, v1alpha1.DeletionPolicyDelete)
	w.change(t, func(s *v1alpha1.Store) { s.Spec.Suspend = true })
	w.reconcileOnce(t)
	store := w.reconcileOnce(t)
	if hasFinalizer(store) || !slices.Contains(w.helm.Actions(), "uninstall") {
		t.Errorf("finalizers %v, Helm's actions %v", store.Finalizers, w.helm.Actions())
	}
}
