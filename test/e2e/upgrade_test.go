package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	informers "platform.dev/stores/pkg/generated/informers/externalversions"
)

// Upgrading the platform and going back replaces its own pods, and touches no
// store: not a pod, not a moment of readiness, and no secret that was generated.
// Whoever watches stores goes on to.
func TestPlatformUpgradeLeavesStoresAlone(t *testing.T) {
	store := flowers(t)
	watched := watchStore(t, store)
	pods := podsOf(t, store.Status.Namespace)
	programs := podsOf(t, platformNamespace)
	secrets := generatedSecrets(t)

	for _, change := range []struct {
		name string
		args []string
	}{
		{"upgrade", []string{"upgrade", "platform", "charts/platform", "--reset-then-reuse-values",
			"--set", "apiserver.resources.requests.memory=200Mi,provisioner.resources.requests.memory=130Mi"}},
		{"rollback", []string{"rollback", "platform"}},
	} {
		command(t, "_output/bin/helm", append(change.args, "--namespace", platformNamespace)...)
		kubectl(t, "-n", platformNamespace, "rollout", "status", "--timeout=4m", "deployment/platform-apiserver", "deployment/platform-provisioner")
		now := podsOf(t, platformNamespace)
		for name := range programs {
			changed := strings.HasPrefix(name, "platform-apiserver-") || strings.HasPrefix(name, "platform-provisioner-")
			if _, still := now[name]; changed && still {
				t.Errorf("the %s has not replaced pod %s", change.name, name)
			}
		}
		if now["platform-postgres-0"] != programs["platform-postgres-0"] {
			t.Errorf("the %s has restarted PostgreSQL", change.name)
		}
		programs = now
		if diff := cmp.Diff(pods, podsOf(t, store.Status.Namespace)); diff != "" {
			t.Errorf("the %s has changed the store's pods (-before +after):\n%s", change.name, diff)
		}
		if diff := cmp.Diff(secrets, generatedSecrets(t)); diff != "" {
			t.Errorf("the %s has changed generated secrets (-before +after):\n%s", change.name, diff)
		}
		watched.awaitMark(t, change.name)
	}
	watched.assertAlwaysReady(t)
}

// podsOf returns the running pods of a namespace by name: each one's UID and how
// often its containers were restarted.
func podsOf(t *testing.T, namespace string) map[string]string {
	t.Helper()
	list, err := core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp != nil {
			continue
		}
		restarts := int32(0)
		for _, status := range pod.Status.ContainerStatuses {
			restarts += status.RestartCount
		}
		found[pod.Name] = fmt.Sprintf("%s, %d restarts", pod.UID, restarts)
	}
	return found
}

// generatedSecrets is what the platform's chart made up when it was installed.
func generatedSecrets(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range []string{"platform-apiserver-certificate", "platform-postgres"} {
		secret, err := core.CoreV1().Secrets(platformNamespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range secret.Data {
			found[name+"/"+key] = string(value)
		}
	}
	return found
}

// A watchedStore is what a client that watches saw of a store.
type watchedStore struct {
	name string

	mu       sync.Mutex
	marks    map[string]string
	notReady []string
}

// watchStore begins to watch.
func watchStore(t *testing.T, store *v1alpha1.Store) *watchedStore {
	t.Helper()
	w := &watchedStore{name: store.Name}
	factory := informers.NewSharedInformerFactoryWithOptions(platform, 0, informers.WithNamespace(store.Namespace))
	informer := factory.Platform().V1alpha1().Stores().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    w.see,
		UpdateFunc: func(_, now any) { w.see(now) },
		DeleteFunc: func(any) { w.see(&v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: store.Name}}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the watch has not begun")
	}
	return w
}

func (w *watchedStore) see(object any) {
	store, ok := object.(*v1alpha1.Store)
	if !ok || store.Name != w.name {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks = maps.Clone(store.Annotations)
	if !meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionReady) {
		w.notReady = append(w.notReady, describe(store))
	}
}

// awaitMark writes to the store and waits until the watch shows it.
func (w *watchedStore) awaitMark(t *testing.T, mark string) {
	t.Helper()
	patch := []byte(`{"metadata":{"annotations":{"example.com/mark":"` + mark + `"}}}`)
	if _, err := platform.PlatformV1alpha1().Stores("default").Patch(t.Context(), w.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatalf("writing after the %s: %v", mark, err)
	}
	eventually(t, time.Minute, "the watch to go on after the "+mark, func(context.Context) (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.marks["example.com/mark"] == mark, fmt.Sprint(w.marks)
	})
}

func (w *watchedStore) assertAlwaysReady(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, state := range w.notReady {
		t.Errorf("the store was not ready meanwhile:\n%s", state)
	}
}
