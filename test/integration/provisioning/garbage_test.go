package provisioning

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// Deleting the namespace of a tenant deletes the stores in it first, with all that they
// own elsewhere, and ends. A protected store holds it up and is named.
func TestNamespaceOfATenantGoes(t *testing.T) {
	namespace, engine := env.NewNamespace(t), tinyEngine(t, 600)
	startReplica(t, "a", &record{})
	names := createMany(t, namespace, "shop", engine, 3)
	protected := create(t, namespace, "protected", engine, func(s *v1alpha1.StoreSpec) { s.DeletionProtection = true })
	allReady(t, namespace, append(names, protected.Name))
	shops := map[string]bool{}
	list, err := harness.Platform(t, env.Admin()).Stores(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range list.Items {
		shops[store.Status.Namespace] = true
	}

	namespaces := harness.Core(t, env.Admin()).CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "the namespace to name the protected store", func(ctx context.Context) (bool, error) {
		found, err := namespaces.Get(ctx, namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range found.Status.Conditions {
			if strings.Contains(condition.Message, "store "+namespace+"/protected is protected") {
				return true, nil
			}
		}
		return false, nil
	})
	change(t, namespace, protected.Name, func(s *v1alpha1.StoreSpec) { s.DeletionProtection = false })
	harness.Eventually(t, 2*patience, "the namespace to go", func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	for shop := range shops {
		if _, err := namespaces.Get(t.Context(), shop, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the tenant's namespace went before %s, which one of its stores owns: %v", shop, err)
		}
	}
}

// The cluster's garbage collector takes stores as it takes everything else: what belongs
// to a store goes with it, and a store with what it belongs to.
func TestStoresAreCollected(t *testing.T) {
	namespace, engine := env.NewNamespace(t), tinyEngine(t, 600)
	startReplica(t, "a", &record{})
	cleanUp(t, namespace)
	configs := harness.Core(t, env.Admin()).CoreV1().ConfigMaps(namespace)
	config := func(name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
		made, err := configs.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	away := func(name string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			_, err := configs.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), nil
		}
	}
	owner := config("owner")
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	owned, err := stores.Create(t.Context(), &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "owned", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}},
		Spec:       v1alpha1.StoreSpec{Engine: engine.Name, Host: "owned." + engine.Name + ".example.com"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reference := func(store *v1alpha1.Store) metav1.OwnerReference {
		block := true
		return metav1.OwnerReference{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Store", Name: store.Name, UID: store.UID, BlockOwnerDeletion: &block}
	}
	config("of-owned", reference(owned))
	if err := configs.Delete(t.Context(), owner.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	gone(t, namespace, owned.Name)
	harness.Eventually(t, patience, "what belongs to the store", away("of-owned"))

	// In the foreground, what belongs to a store goes before it.
	store := create(t, namespace, "foreground", engine)
	held := config("of-foreground", reference(store))
	held.Finalizers = []string{"example.com/held"}
	if held, err = configs.Update(t.Context(), held, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	foreground := metav1.DeletePropagationForeground
	if err := stores.Delete(t.Context(), store.Name, metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		t.Fatal(err)
	}
	until(t, namespace, store.Name, patience, func(s *v1alpha1.Store) bool {
		return len(s.Finalizers) == 1 && s.Finalizers[0] == metav1.FinalizerDeleteDependents
	})
	harness.Eventually(t, patience, "what belongs to the store to be deleted", func(ctx context.Context) (bool, error) {
		held, err = configs.Get(ctx, held.Name, metav1.GetOptions{})
		return err == nil && held.DeletionTimestamp != nil, err
	})
	held.Finalizers = nil
	if _, err := configs.Update(t.Context(), held, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	gone(t, namespace, store.Name)
}
