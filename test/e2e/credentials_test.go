package e2e

import (
	"context"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
)

// Whoever has the role edit where a store is gets its login, and cannot reach the
// Secret it comes from.
func TestCredentialsByRoleEdit(t *testing.T) {
	t.Parallel()
	const tenant = "e2e-credentials-tenant"
	store := flowers(t)
	binding, err := core.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenant}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.RbacV1().RoleBindings("default").Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{})
	})
	login := getLogin(t, as(tenant), store)
	secret := credentials(t, store)
	if login.Username != string(secret["admin-email"]) || login.Password != string(secret["admin-password"]) || login.Username != store.Spec.AdminEmail {
		t.Errorf("the login of %q is not that of the Secret", login.Username)
	}
	stranger, err := clientset.NewForConfig(as("e2e-credentials-stranger"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.PlatformV1alpha1().Stores("default").GetCredentials(t.Context(), store.Name, metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a stranger: %v, want Forbidden", err)
	}
}

// as returns how a user without groups reaches the cluster.
func as(user string) *rest.Config {
	c := rest.CopyConfig(config)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return c
}

// getLogin reads a store's login once the rights to it count.
func getLogin(t *testing.T, config *rest.Config, store *v1alpha1.Store) *v1alpha1.StoreCredentials {
	t.Helper()
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var login *v1alpha1.StoreCredentials
	eventually(t, time.Minute, "the login of store "+store.Name, func(ctx context.Context) (bool, string) {
		found, err := client.PlatformV1alpha1().Stores(store.Namespace).GetCredentials(ctx, store.Name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		login = found
		return true, ""
	})
	return login
}
