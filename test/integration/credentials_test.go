package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// newEngineWithLogin makes an engine whose shops have an administrator.
func newEngineWithLogin(t testing.TB) *v1alpha1.Engine {
	t.Helper()
	from := v1alpha1.StoreFieldAdminEmail
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"credentials": []v1alpha1.Credential{{Key: "user", From: &from}, {Key: "pass", Generate: &v1alpha1.RandomValue{Length: 24}}},
		"adminLogin":  v1alpha1.AdminLogin{UsernameKey: "user", PasswordKey: "pass"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.Platform(t, env.Admin()).Engines().Patch(t.Context(), newEngine(t).Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// provision makes what the provisioner makes of a store for its credentials: the
// namespace, the API server's right in it, the Secret and the status.
func provision(t testing.TB, store *v1alpha1.Store, password string) *v1alpha1.Store {
	t.Helper()
	core, namespace := harness.Core(t, env.Admin()), "store-"+string(store.UID)
	_, err := core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{v1alpha1.LabelStoreUID: string(store.UID)}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = core.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "stores-apiserver"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "platform-apiserver-store"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "platform-system", Name: "platform-apiserver"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = core.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.CredentialsSecret},
		StringData: map[string]string{"user": store.Spec.AdminEmail, "pass": password, "database": "not-to-be-shown"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store = setReady(t, store, metav1.ConditionTrue)
	store.Status.Namespace, store.Status.URL, store.Status.AdminURL = namespace, "https://"+store.Spec.Host, "https://"+store.Spec.Host+"/app"
	return updateStatus(t, store)
}

func updateStatus(t testing.TB, store *v1alpha1.Store) *v1alpha1.Store {
	t.Helper()
	updated, err := harness.Platform(t, env.Admin()).Stores(store.Namespace).UpdateStatus(t.Context(), store, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return updated
}

// getCredentials asks until the API server's right to read them counts.
func getCredentials(t testing.TB, stores typed.StoreInterface, name string) *v1alpha1.StoreCredentials {
	t.Helper()
	var credentials *v1alpha1.StoreCredentials
	harness.Eventually(t, patience, "the credentials", func(ctx context.Context) (_ bool, err error) {
		credentials, err = stores.GetCredentials(ctx, name, metav1.GetOptions{})
		if apierrors.IsServiceUnavailable(err) || apierrors.IsForbidden(err) {
			return false, nil
		}
		return true, err
	})
	return credentials
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	const password = "a-passw0rd-that-only-some-see"
	namespace, engine := env.NewNamespace(t), newEngineWithLogin(t)
	env.Allow(t, "alice", namespace, "platform-stores-edit")
	env.Allow(t, "viewer", namespace, "platform-stores-view")
	alice, viewer := harness.Platform(t, env.User("alice")).Stores(namespace), harness.Platform(t, env.User("viewer")).Stores(namespace)
	store := create(t, namespace, newStore("flowers", engine))

	harness.Eventually(t, patience, "the user's rights", untilAllowed(func() error {
		_, err := alice.GetCredentials(t.Context(), "flowers", metav1.GetOptions{})
		if !apierrors.IsForbidden(err) && !apierrors.IsConflict(err) {
			t.Errorf("before there are any: %v, want Conflict", err)
		}
		return err
	}))
	if _, err := alice.GetCredentials(t.Context(), "nothing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("of a store that is not: %v, want NotFound", err)
	}

	store = provision(t, store, password)
	want := &v1alpha1.StoreCredentials{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: namespace},
		URL:        store.Status.URL, AdminURL: store.Status.AdminURL, Username: store.Spec.AdminEmail, Password: password,
	}
	if diff := cmp.Diff(want, getCredentials(t, alice, "flowers")); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	harness.Eventually(t, patience, "the viewer's rights", untilAllowed(func() error {
		_, err := viewer.Get(t.Context(), "flowers", metav1.GetOptions{})
		return err
	}))
	if _, err := viewer.GetCredentials(t.Context(), "flowers", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a viewer: %v, want Forbidden", err)
	}
	assertReadOnRecord(t, namespace, "alice", password)
}

// assertReadOnRecord checks that our audit log tells who saw a password, and that
// neither it nor any other line shows it.
func assertReadOnRecord(t *testing.T, namespace, user, password string) {
	t.Helper()
	harness.Eventually(t, patience, "the audit log", func(context.Context) (bool, error) {
		log, err := env.Server().Log()
		if err != nil {
			return false, err
		}
		if bytes.Contains(log, []byte(password)) {
			t.Error("the server's log shows the password")
		}
		for line := range bytes.Lines(log) {
			var event auditv1.Event
			if json.Unmarshal(line, &event) == nil && event.ObjectRef != nil && event.ObjectRef.Namespace == namespace &&
				event.ObjectRef.Subresource == "credentials" && event.User.Username == user && event.ResponseStatus.Code == 200 {
				return true, nil
			}
		}
		return false, nil
	})
}

// Whatever a status says, the server reads no namespace of another store.
func TestCredentialsOfAnotherStore(t *testing.T) {
	t.Parallel()
	engine := newEngineWithLogin(t)
	theirs := provision(t, create(t, env.NewNamespace(t), newStore("theirs", engine)), "their-password")
	mine := provision(t, create(t, env.NewNamespace(t), newStore("mine", engine)), "my-password")
	stores := harness.Platform(t, env.Admin()).Stores(mine.Namespace)
	getCredentials(t, stores, "mine")
	mine.Status.Namespace = theirs.Status.Namespace
	updateStatus(t, mine)
	if got, err := stores.GetCredentials(t.Context(), "mine", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("with a forged status: %+v, error %v, want Forbidden", got, err)
	}
}
