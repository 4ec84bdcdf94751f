package blastradius

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/test/internal/harness"
)

// With one replica up, no namespace of the cluster waits for another to be back.
func TestNamespacesGoWithOneReplica(t *testing.T) {
	env.StartControllers(t)
	first, second := env.StartServer(t, env.Database()), env.StartServer(t, env.Database())
	balancer := env.Balance(t, first, second)
	balancer.Await(t, first)
	balancer.Await(t, second)
	newStore(t, env.NewNamespace(t)) // the cluster has learnt who serves the API
	// The cluster itself waits for some seconds before it looks into a namespace.
	usual := slices.Max(slices.Collect(maps.Values(deleteNamespaces(t, 1))))
	first.Kill()
	// Some are deleted before the cluster knows, and some when it does.
	for namespace, took := range deleteNamespaces(t, 6) {
		if took > usual+3*time.Second {
			t.Errorf("namespace %s took %s to go, with both replicas up one takes %s", namespace, took, usual)
		}
	}
}

// deleteNamespaces deletes some namespaces one after the other and returns how long each
// took to go.
func deleteNamespaces(t *testing.T, count int) map[string]time.Duration {
	t.Helper()
	begun, took := map[string]time.Time{}, map[string]time.Duration{}
	for len(begun) < count {
		namespace := filledNamespace(t)
		deleteNamespace(t, namespace)
		begun[namespace] = time.Now()
	}
	harness.Eventually(t, patience, "all namespaces to go", func(ctx context.Context) (bool, error) {
		for namespace, begin := range begun {
			_, err := harness.Core(t, env.Admin()).CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			if _, known := took[namespace]; !known && apierrors.IsNotFound(err) {
				took[namespace] = time.Since(begin)
			}
		}
		return len(took) == len(begun), nil
	})
	return took
}

// Without any of our servers, a namespace cannot go, because nobody can tell whether it
// holds stores. It goes after they are back, once the cluster asks again: it waits longer
// after each time in vain, at most a minute. Other garbage is collected all the time.
func TestNamespacesGoWhenServersAreBack(t *testing.T) {
	env.StartControllers(t)
	first, second := env.StartServer(t, env.Database()), env.StartServer(t, env.Database())
	balancer := env.Balance(t, first, second)
	newStore(t, env.NewNamespace(t))
	namespace := filledNamespace(t)
	first.Kill()
	second.Kill()
	down := time.Now()
	deleteNamespace(t, namespace)
	harness.Eventually(t, patience, "the namespace to tell what it waits for", func(ctx context.Context) (bool, error) {
		found, err := harness.Core(t, env.Admin()).CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range found.Status.Conditions {
			if condition.Status == corev1.ConditionTrue && strings.Contains(condition.Message, "platform.dev") {
				return true, nil
			}
		}
		return false, nil
	})
	collectGarbage(t)

	next := env.StartServer(t, env.Database())
	balancer.Add(next)
	balancer.Await(t, next)
	outage, back := time.Since(down), time.Now()
	harness.Eventually(t, patience+10*time.Second, "namespace "+namespace+" to go", func(ctx context.Context) (bool, error) {
		_, err := harness.Core(t, env.Admin()).CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	t.Logf("The namespace was gone %s after an outage of %s.", time.Since(back).Round(time.Millisecond), outage.Round(time.Millisecond))
}

// collectGarbage sees that what belongs to a deleted object goes.
func collectGarbage(t *testing.T) {
	t.Helper()
	namespace := env.NewNamespace(t)
	objects := harness.Core(t, env.Admin()).CoreV1().ConfigMaps(namespace)
	owner, err := objects.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owned", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID},
	}}}
	if _, err := objects.Create(t.Context(), owned, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := objects.Delete(t.Context(), owner.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "garbage to be collected", func(ctx context.Context) (bool, error) {
		_, err := objects.Get(ctx, owned.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// filledNamespace makes a namespace that is not ours and holds something.
func filledNamespace(t *testing.T) string {
	t.Helper()
	namespace := env.NewNamespace(t)
	content := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "content"}}
	if _, err := harness.Core(t, env.Admin()).CoreV1().ConfigMaps(namespace).Create(t.Context(), content, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return namespace
}

func deleteNamespace(t *testing.T, name string) {
	t.Helper()
	if err := harness.Core(t, env.Admin()).CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
