package provisioning

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// patience bounds every wait without a promise of its own.
const patience = time.Minute

// cleanUp deletes the stores that are left when the test ends. Call it after all
// replicas have been started that are to take part.
func cleanUp(t testing.TB, namespace string) {
	t.Helper()
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = stores.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			list, err := stores.List(ctx, metav1.ListOptions{})
			return err == nil && len(list.Items) == 0, nil
		})
		if err != nil {
			t.Errorf("stores are left in namespace %s: %v", namespace, err)
		}
	})
}

func create(t testing.TB, namespace, name string, engine *v1alpha1.Engine, edit ...func(*v1alpha1.StoreSpec)) *v1alpha1.Store {
	t.Helper()
	store := &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.StoreSpec{Engine: engine.Name, Host: name + "." + engine.Name + ".example.com"},
	}
	for _, f := range edit {
		f(&store.Spec)
	}
	created, err := harness.Platform(t, env.Admin()).Stores(namespace).Create(t.Context(), store, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating store %s: %v", name, err)
	}
	return created
}

// createMany creates count stores and returns their names.
func createMany(t testing.TB, namespace, prefix string, engine *v1alpha1.Engine, count int) []string {
	t.Helper()
	var names []string
	for i := range count {
		names = append(names, create(t, namespace, fmt.Sprintf("%s-%d", prefix, i), engine).Name)
	}
	return names
}

// change edits a store's spec as a user does.
func change(t testing.TB, namespace, name string, edit func(*v1alpha1.StoreSpec)) {
	t.Helper()
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	harness.Eventually(t, patience, "the change of store "+name, func(ctx context.Context) (bool, error) {
		store, err := stores.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		edit(&store.Spec)
		_, err = stores.Update(ctx, store, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// remove asks for a store to be deleted.
func remove(t testing.TB, namespace, name string) {
	t.Helper()
	if err := harness.Platform(t, env.Admin()).Stores(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// gone waits until a store is no more.
func gone(t testing.TB, namespace, name string) {
	t.Helper()
	harness.Eventually(t, patience, "store "+name+" to go", func(ctx context.Context) (bool, error) {
		_, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

func allReady(t testing.TB, namespace string, names []string) {
	t.Helper()
	for _, name := range names {
		ready(t, namespace, name, metav1.ConditionTrue)
	}
}

// ready waits for the Ready condition of a store to have the status.
func ready(t testing.TB, namespace, name string, status metav1.ConditionStatus) *v1alpha1.Store {
	t.Helper()
	return until(t, namespace, name, patience, func(s *v1alpha1.Store) bool {
		c := condition(s, v1alpha1.ConditionReady)
		return c != nil && c.Status == status && c.ObservedGeneration == s.Generation
	})
}

// until waits until a store is as done says.
func until(t testing.TB, namespace, name string, timeout time.Duration, done func(*v1alpha1.Store) bool) *v1alpha1.Store {
	t.Helper()
	client := harness.Platform(t, env.Admin()).Stores(namespace)
	var last *v1alpha1.Store
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		store, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		last = store
		return done(store), nil
	})
	if err != nil {
		t.Fatalf("waiting for store %s: %v; last seen:\n%s", name, err, conditionsOf(last))
	}
	return last
}

func condition(s *v1alpha1.Store, conditionType string) *metav1.Condition {
	for i := range s.Status.Conditions {
		if s.Status.Conditions[i].Type == conditionType {
			return &s.Status.Conditions[i]
		}
	}
	return nil
}

func conditionsOf(s *v1alpha1.Store) string {
	if s == nil {
		return "nothing"
	}
	var text strings.Builder
	for _, c := range s.Status.Conditions {
		fmt.Fprintf(&text, "%s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return text.String()
}
