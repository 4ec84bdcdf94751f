package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var dryRun = []string{metav1.DryRunAll}

// Whoever holds the provisioner's token can act on the namespaces of stores, and
// on no other.
func TestProvisionerIsKeptToStores(t *testing.T) {
	t.Parallel()
	stolen := rest.CopyConfig(config)
	stolen.Impersonate.UserName = "system:serviceaccount:" + platformNamespace + ":platform-provisioner"
	stolen.Impersonate.Groups = []string{"system:serviceaccounts", "system:authenticated"}
	client, err := kubernetes.NewForConfig(stolen)
	if err != nil {
		t.Fatal(err)
	}
	namespace := func(name string, labels map[string]string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{DryRun: dryRun})
			return err
		}
	}
	binding := func(in, role, subject string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.RbacV1().RoleBindings(in).Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "mine"},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: subject, Namespace: platformNamespace}},
			}, metav1.CreateOptions{DryRun: dryRun})
			return err
		}
	}
	ours := map[string]string{"platform.dev/store-uid": "1"}
	store := makeNamespace(t, "store-policy-00000000", ours)

	for _, test := range []struct {
		name    string
		allowed bool
		do      func(context.Context) error
	}{
		{"make a store's namespace", true, namespace("store-other-00000000", ours)},
		{"make a namespace without a store", false, namespace("store-other-00000000", nil)},
		{"make a namespace of another name", false, namespace("other", ours)},
		{"delete another namespace", false, func(ctx context.Context) error {
			return client.CoreV1().Namespaces().Delete(ctx, "default", metav1.DeleteOptions{DryRun: dryRun})
		}},
		{"take another namespace over", false, func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().Patch(ctx, "default", types.MergePatchType, []byte(`{"metadata":{"labels":{"platform.dev/store-uid":"1"}}}`), metav1.PatchOptions{DryRun: dryRun})
			return err
		}},
		{"hand a namespace to another store", false, func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().Patch(ctx, store, types.MergePatchType, []byte(`{"metadata":{"labels":{"platform.dev/store-uid":"2"}}}`), metav1.PatchOptions{DryRun: dryRun})
			return err
		}},
		{"bind its role in a store's namespace", true, binding(store, "platform-provisioner-store", "platform-provisioner")},
		{"bind its role elsewhere", false, binding("kube-system", "platform-provisioner-store", "platform-provisioner")},
		{"bind its role to another", false, binding(store, "platform-provisioner-store", "default")},
		{"bind the API server's role to it", true, binding(store, "platform-apiserver-store", "platform-apiserver")},
		{"bind the API server's role elsewhere", false, binding("kube-system", "platform-apiserver-store", "platform-apiserver")},
		{"bind the API server's role to another", false, binding(store, "platform-apiserver-store", "platform-provisioner")},
		{"bind its role to the API server", false, binding(store, "platform-provisioner-store", "platform-apiserver")},
		{"bind another role", false, binding(store, "cluster-admin", "platform-provisioner")},
		{"read a secret elsewhere", false, func(ctx context.Context) error {
			_, err := client.CoreV1().Secrets("kube-system").List(ctx, metav1.ListOptions{})
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.do(t.Context())
			if test.allowed && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !test.allowed && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
				t.Errorf("got error %v, want a refusal", err)
			}
		})
	}
}

func makeNamespace(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	_, err := core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	return name
}
