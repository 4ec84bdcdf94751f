package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// Whatever dies in the middle of a provisioning, the store becomes Ready, with the
// passwords it had, and is installed once.
func TestCrashDuringProvisioning(t *testing.T) {
	crashes := []struct {
		name     string
		selector string
		// after is the condition after which the process is killed: the next step
		// is then under way.
		after string
		// secret is what the store had as credentials when that had happened.
		secret map[string][]byte
	}{
		{name: "provisioner", selector: "app.kubernetes.io/name=platform-provisioner", after: v1alpha1.ConditionSecretsReady},
		{name: "apiserver", selector: "app.kubernetes.io/name=platform-apiserver", after: v1alpha1.ConditionReleaseInstalled},
		{name: "postgres", selector: "app.kubernetes.io/name=platform-postgres", after: v1alpha1.ConditionNamespaceReady},
	}
	for i := range crashes {
		crash := &crashes[i]
		name := "crash-" + crash.name
		createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.StoreSpec{Engine: "medusa"}})
		waitFor(t, name, crash.after, 2*time.Minute)
		killPods(t, crash.selector)
		crash.secret = waitForSecret(t, name)
		// What was killed is back, and goes on with the store. The shops start together.
		waitFor(t, name, v1alpha1.ConditionReleaseInstalled, 3*time.Minute)
	}
	for _, crash := range crashes {
		t.Run(crash.name, func(t *testing.T) {
			store := waitFor(t, "crash-"+crash.name, v1alpha1.ConditionReady, 8*time.Minute)
			if diff := cmp.Diff(crash.secret, credentials(t, store)); diff != "" {
				t.Errorf("the credentials changed (-before +after):\n%s", diff)
			}
			assertInstalledOnce(t, store)
			order(t, store)
		})
	}
}

// waitForSecret returns the credentials as soon as they exist. It asks the core
// API alone, because the platform's may be down.
func waitForSecret(t *testing.T, name string) map[string][]byte {
	t.Helper()
	var data map[string][]byte
	eventually(t, 3*time.Minute, "the credentials of store "+name, func(ctx context.Context) (bool, string) {
		secrets, err := core.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=store-credentials"})
		if err != nil {
			return false, err.Error()
		}
		for _, secret := range secrets.Items {
			if strings.HasPrefix(secret.Namespace, "store-"+name+"-") {
				data = secret.Data
				return true, ""
			}
		}
		return false, "no such secret"
	})
	return data
}

func assertInstalledOnce(t *testing.T, store *v1alpha1.Store) {
	t.Helper()
	namespaces, err := core.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{LabelSelector: "platform.dev/store-uid=" + string(store.UID)})
	if err != nil {
		t.Fatal(err)
	}
	if len(namespaces.Items) != 1 {
		t.Errorf("the store has %d namespaces, want 1", len(namespaces.Items))
	}
	workloads, err := core.AppsV1().Deployments(store.Status.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(workloads.Items) != 1 {
		t.Errorf("the store has %d deployments, want 1", len(workloads.Items))
	}
	for _, workload := range workloads.Items {
		if workload.Generation != 1 {
			t.Errorf("deployment %s has generation %d: it was changed after it was made", workload.Name, workload.Generation)
		}
	}
	installs := 0
	for _, action := range store.Status.Release.Actions {
		if action.Action == "install" && action.Result == "succeeded" {
			installs++
		}
	}
	if installs > 1 {
		t.Errorf("the release was installed %d times: %+v", installs, store.Status.Release.Actions)
	}
}

// killPods sends SIGKILL to every process of the pods' containers. This machine is
// their node.
func killPods(t *testing.T, selector string) {
	t.Helper()
	pods, err := core.CoreV1().Pods(platformNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, pod := range pods.Items {
		killed += killPod(t, pod.UID)
	}
	if killed == 0 {
		t.Fatalf("no process of the pods %s was found on this machine", selector)
	}
}

func killPod(t *testing.T, uid types.UID) int {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, process := range processes {
		groups, err := os.ReadFile(filepath.Join(process, "cgroup"))
		if err != nil || !bytes.Contains(groups, []byte("pod"+uid)) {
			continue // gone, or not of this pod
		}
		if name, err := os.ReadFile(filepath.Join(process, "comm")); err != nil || strings.TrimSpace(string(name)) == "pause" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			killed++
		}
	}
	return killed
}
