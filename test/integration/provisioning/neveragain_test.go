package provisioning

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/test/internal/harness"
)

func credentials(t *testing.T, s *v1alpha1.Store) map[string][]byte {
	t.Helper()
	secret, err := harness.Core(t, env.Admin()).CoreV1().Secrets(s.Status.Namespace).Get(t.Context(), provisioner.CredentialsSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// A store's credentials are the same after retries, upgrades, upgrades that fail
// and restarts of the provisioner.
func TestNeverAgain22CredentialsStayTheSame(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 10), &record{}
	r := startReplica(t, "a", record)
	create(t, namespace, "flowers", engine)
	first := credentials(t, ready(t, namespace, "flowers", metav1.ConditionTrue))
	same := func(after string) {
		t.Helper()
		store, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), "flowers", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, credentials(t, store)); diff != "" {
			t.Fatalf("after %s the credentials differ", after)
		}
	}
	for i := range 100 {
		change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) {
			s.DisplayName, s.Version = fmt.Sprint("Flowers ", i), []string{"1.0", "2.0", "broken"}[i%3]
		})
		if i%25 == 24 {
			r.kill()
			r = startReplica(t, fmt.Sprint("after ", i), record)
			same("a restart")
		}
	}
	same("many changes")
	change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) { s.Version = "unpullable" })
	until(t, namespace, "flowers", patience, func(s *v1alpha1.Store) bool {
		return condition(s, v1alpha1.ConditionReady).Reason == "UpgradeFailed"
	})
	same("a failed upgrade")
	cleanUp(t, namespace)
}

// Whoever takes over knows everything that the user has asked for.
func TestNeverAgain23NoInputLivesInMemory(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	first := startReplica(t, "first", record)
	title := `Blumen & "Bäume" {{ .Values }} $(id)`
	create(t, namespace, "flowers", engine, func(s *v1alpha1.StoreSpec) { s.DisplayName = title })
	until(t, namespace, "flowers", patience, func(s *v1alpha1.Store) bool { return s.Status.Namespace != "" })
	first.kill()
	change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) { s.Version = "2.0" })

	startReplica(t, "second", record)
	cleanUp(t, namespace)
	store := ready(t, namespace, "flowers", metav1.ConditionTrue)
	settings, err := harness.Core(t, env.Admin()).CoreV1().ConfigMaps(store.Status.Namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"title": title, "image": "shop:2"}, settings.Data); diff != "" {
		t.Errorf("what was asked for and what there is (-want +got):\n%s", diff)
	}
	if len(credentials(t, store)["password"]) != 24 {
		t.Error("there is no password")
	}
}

// Stores that failed, and were deleted and made again under the same name, leave
// nothing behind.
func TestNeverAgain24NothingIsOrphaned(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	startReplica(t, "a", record)
	cleanUp(t, namespace)
	var uids []string
	for _, version := range []string{"broken", "unpullable", "1.0", "broken"} {
		store := create(t, namespace, "flowers", engine, func(s *v1alpha1.StoreSpec) { s.Version = version })
		uids = append(uids, string(store.UID))
		until(t, namespace, "flowers", patience, func(s *v1alpha1.Store) bool {
			return s.Status.Release != nil && len(s.Status.Release.Actions) > 0
		})
		remove(t, namespace, "flowers")
		gone(t, namespace, "flowers")
	}
	namespaces, err := harness.Core(t, env.Admin()).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{
		LabelSelector: fmt.Sprintf("%s in (%s)", provisioner.LabelStoreUID, strings.Join(uids, ",")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(namespaces.Items) != 0 {
		t.Errorf("%d namespaces are left", len(namespaces.Items))
	}
}

// What is deleted or changed of the release or of the namespace's own contents makes
// the store not ready within five seconds, by name, and comes back.
func TestNeverAgain26DriftIsSeenAndRepaired(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	startReplica(t, "a", record)
	cleanUp(t, namespace)
	create(t, namespace, "flowers", engine)
	store := ready(t, namespace, "flowers", metav1.ConditionTrue)
	deployments := harness.Core(t, env.Admin()).AppsV1().Deployments(store.Status.Namespace)
	for _, test := range []struct {
		name, want string
		harm       func() error
	}{
		{"deleted", "Deployment shop is gone.", func() error {
			return deployments.Delete(t.Context(), "shop", metav1.DeleteOptions{})
		}},
		{"a deleted Service", "Service shop is gone.", func() error {
			return harness.Core(t, env.Admin()).CoreV1().Services(store.Status.Namespace).Delete(t.Context(), "shop", metav1.DeleteOptions{})
		}},
		{"a deleted ConfigMap", "ConfigMap settings is gone.", func() error {
			return harness.Core(t, env.Admin()).CoreV1().ConfigMaps(store.Status.Namespace).Delete(t.Context(), "settings", metav1.DeleteOptions{})
		}},
		{"a changed ConfigMap", "ConfigMap settings was changed in data.title.", func() error {
			_, err := harness.Core(t, env.Admin()).CoreV1().ConfigMaps(store.Status.Namespace).Patch(t.Context(), "settings", types.MergePatchType,
				[]byte(`{"data":{"title":"mine"}}`), metav1.PatchOptions{})
			return err
		}},
		{"a deleted ServiceAccount", "ServiceAccount shop is gone.", func() error {
			return harness.Core(t, env.Admin()).CoreV1().ServiceAccounts(store.Status.Namespace).Delete(t.Context(), "shop", metav1.DeleteOptions{})
		}},
		{"the namespace without its default-deny policy", "NetworkPolicy store-default-deny is gone.", func() error {
			return harness.Core(t, env.Admin()).NetworkingV1().NetworkPolicies(store.Status.Namespace).Delete(t.Context(), "store-default-deny", metav1.DeleteOptions{})
		}},
		{"the namespace with the policy opened", "NetworkPolicy store-default-deny was changed.", func() error {
			_, err := harness.Core(t, env.Admin()).NetworkingV1().NetworkPolicies(store.Status.Namespace).Patch(t.Context(), "store-default-deny", types.MergePatchType,
				[]byte(`{"spec":{"egress":[{}]}}`), metav1.PatchOptions{})
			return err
		}},
		{"the namespace without its quota", "ResourceQuota store-plan is gone.", func() error {
			return harness.Core(t, env.Admin()).CoreV1().ResourceQuotas(store.Status.Namespace).Delete(t.Context(), "store-plan", metav1.DeleteOptions{})
		}},
		{"the namespace without the provisioner's rights", "RoleBinding stores-provisioner is gone.", func() error {
			return harness.Core(t, env.Admin()).RbacV1().RoleBindings(store.Status.Namespace).Delete(t.Context(), "stores-provisioner", metav1.DeleteOptions{})
		}},
		{"changed", "Deployment shop was changed in spec.template.spec.containers.", func() error {
			_, err := deployments.Patch(t.Context(), "shop", types.StrategicMergePatchType,
				[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":"mine:1"}]}}}}`), metav1.PatchOptions{})
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			watcher, err := harness.Platform(t, env.Admin()).Stores(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: store.ResourceVersion})
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Stop()
			if err := test.harm(); err != nil {
				t.Fatal(err)
			}
			deadline := time.After(5 * time.Second)
			for told := false; !told; {
				select {
				case event := <-watcher.ResultChan():
					s, ok := event.Object.(*v1alpha1.Store)
					if !ok {
						t.Fatalf("the watch brought %v", event.Object)
					}
					c := condition(s, v1alpha1.ConditionReady)
					told = s.Name == "flowers" && c.Status == metav1.ConditionFalse && c.Reason == "Drifted" && c.Message == test.want
				case <-deadline:
					t.Fatalf("nobody told that %q", test.want)
				}
			}
			store = ready(t, namespace, "flowers", metav1.ConditionTrue)
			repaired, err := deployments.Get(t.Context(), "shop", metav1.GetOptions{})
			if err != nil || repaired.Spec.Template.Spec.Containers[0].Image != "shop:1" {
				t.Errorf("the Deployment was not repaired: %v, error %v", repaired.Spec.Template.Spec.Containers, err)
			}
		})
	}
}

// A store goes only when its namespace and its volumes are gone, and says until
// then what is in the way.
func TestNeverAgain27GoneMeansGone(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	startReplica(t, "a", record)
	cleanUp(t, namespace)
	create(t, namespace, "flowers", engine)
	store := ready(t, namespace, "flowers", metav1.ConditionTrue)
	settings, volumes := harness.Core(t, env.Admin()).CoreV1().ConfigMaps(store.Status.Namespace), harness.Core(t, env.Admin()).CoreV1().PersistentVolumes()
	if _, err := settings.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept", Finalizers: []string{"example.com/kept"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: store.Status.Namespace},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
			ClaimRef:               &corev1.ObjectReference{Namespace: store.Status.Namespace, Name: "data"},
		},
	}
	if _, err := volumes.Create(t.Context(), volume, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	free := func(ctx context.Context) {
		_, _ = settings.Patch(ctx, "kept", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	}
	removeVolume := func(ctx context.Context) {
		_ = volumes.Delete(ctx, volume.Name, metav1.DeleteOptions{})
		_, _ = volumes.Patch(ctx, volume.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	}
	t.Cleanup(func() {
		free(context.WithoutCancel(t.Context()))
		removeVolume(context.WithoutCancel(t.Context()))
	})

	remove(t, namespace, "flowers")
	waits := func(part string) {
		t.Helper()
		until(t, namespace, "flowers", patience, func(s *v1alpha1.Store) bool {
			return strings.Contains(condition(s, v1alpha1.ConditionReady).Message, part)
		})
	}
	waits("example.com/kept")
	free(t.Context())
	waits("PersistentVolume " + volume.Name)
	if _, err := harness.Core(t, env.Admin()).CoreV1().Namespaces().Get(t.Context(), store.Status.Namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace: %v, want that it is gone", err)
	}
	removeVolume(t.Context())
	gone(t, namespace, "flowers")
}

// A release whose record somebody has deleted holds no deletion up.
func TestNeverAgain28UninstallCanBeRepeated(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	startReplica(t, "a", record)
	cleanUp(t, namespace)
	for _, policy := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionPolicyDelete, v1alpha1.DeletionPolicyRetain} {
		create(t, namespace, "flowers", engine, func(s *v1alpha1.StoreSpec) { s.DeletionPolicy = policy })
		store := ready(t, namespace, "flowers", metav1.ConditionTrue)
		change(t, namespace, "flowers", func(s *v1alpha1.StoreSpec) { s.Suspend = true })
		if err := harness.Core(t, env.Admin()).CoreV1().Secrets(store.Status.Namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{},
			metav1.ListOptions{LabelSelector: "owner=helm"}); err != nil {
			t.Fatal(err)
		}
		remove(t, namespace, "flowers")
		gone(t, namespace, "flowers")
	}
}

// Helm's record of a release is missed at once, and made again.
func TestDeletedRecordIsMadeAgain(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	startReplica(t, "a", record)
	cleanUp(t, namespace)
	create(t, namespace, "flowers", engine)
	store := ready(t, namespace, "flowers", metav1.ConditionTrue)
	secrets := harness.Core(t, env.Admin()).CoreV1().Secrets(store.Status.Namespace)
	ofHelm := metav1.ListOptions{LabelSelector: "owner=helm"}
	if err := secrets.DeleteCollection(t.Context(), metav1.DeleteOptions{}, ofHelm); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "a record of the release", func(ctx context.Context) (bool, error) {
		list, err := secrets.List(ctx, ofHelm)
		return err == nil && len(list.Items) > 0, err
	})
	ready(t, namespace, "flowers", metav1.ConditionTrue)
}
