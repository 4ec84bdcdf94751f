// Package e2e tests real stores: real pods, real databases, real orders. It needs
// a cluster with the platform installed, as hack/e2e.sh sets it up, and root on
// the machine that is its node.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
)

// platformNamespace is where hack/lib.sh installs the platform.
const platformNamespace = "platform"

var (
	config   *rest.Config
	core     kubernetes.Interface
	platform clientset.Interface
	root     string // of the repository
)

func TestMain(m *testing.M) {
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e tests:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func connect() error {
	var err error
	if root, err = filepath.Abs("../.."); err != nil {
		return err
	}
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		return fmt.Errorf("KUBECONFIG must name the cluster to test: run them with `make e2e`")
	}
	if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	if core, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	platform, err = clientset.NewForConfig(config)
	return err
}

// command runs a program in the repository and returns what it printed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return strings.TrimSpace(string(output))
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, filepath.Join(root, "_output/bin/kubectl"), args...)
}

// eventually waits until done reports true. The last state that done described
// is part of the failure.
func eventually(t *testing.T, timeout time.Duration, what string, done func(context.Context) (bool, string)) {
	t.Helper()
	var state string
	err := wait.PollUntilContextTimeout(t.Context(), 250*time.Millisecond, timeout, true, func(ctx context.Context) (ok bool, _ error) {
		ok, state = done(ctx)
		return ok, nil
	})
	if err != nil {
		t.Fatalf("waiting %s for %s: %v; last seen: %s", timeout, what, err, state)
	}
}

// createStore creates a store in namespace default and deletes it when the test
// ends.
func createStore(t *testing.T, store *v1alpha1.Store) *v1alpha1.Store {
	t.Helper()
	created, err := platform.PlatformV1alpha1().Stores("default").Create(t.Context(), store, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating store %s: %v", store.Name, err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = platform.PlatformV1alpha1().Stores("default").Delete(ctx, store.Name, metav1.DeleteOptions{})
	})
	return created
}

// flowers is the store of engine medusa that the demo has made. Tests that share it
// may look at it and order in it, and leave it as it is.
func flowers(t *testing.T) *v1alpha1.Store {
	t.Helper()
	return waitFor(t, "flowers", v1alpha1.ConditionReady, time.Minute)
}

func getStore(ctx context.Context, name string) (*v1alpha1.Store, error) {
	return platform.PlatformV1alpha1().Stores("default").Get(ctx, name, metav1.GetOptions{})
}

// waitFor waits until a condition of a store is true for its newest generation.
func waitFor(t *testing.T, name, condition string, timeout time.Duration) *v1alpha1.Store {
	t.Helper()
	var found *v1alpha1.Store
	eventually(t, timeout, fmt.Sprintf("%s of store %s", condition, name), func(ctx context.Context) (bool, string) {
		store, err := getStore(ctx, name)
		if err != nil {
			return false, err.Error()
		}
		found = store
		for _, c := range store.Status.Conditions {
			if c.Type == condition && c.Status == metav1.ConditionTrue && c.ObservedGeneration == store.Generation {
				return true, ""
			}
		}
		return false, describe(store)
	})
	return found
}

func describe(store *v1alpha1.Store) string {
	var lines []string
	for _, c := range store.Status.Conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(lines, "\n")
}

// credentials returns the secret values of a store.
func credentials(t *testing.T, store *v1alpha1.Store) map[string][]byte {
	t.Helper()
	secret, err := core.CoreV1().Secrets(store.Status.Namespace).Get(t.Context(), "store-credentials", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading the credentials of store %s: %v", store.Name, err)
	}
	return secret.Data
}

// order places an order in a store through its URL and returns what was printed.
func order(t *testing.T, store *v1alpha1.Store) string {
	t.Helper()
	folder := t.TempDir()
	for key, value := range credentials(t, store) {
		if err := os.WriteFile(filepath.Join(folder, key), value, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return command(t, "node", "artifacts/images/medusa/bin/order.mjs",
		"--url", store.Status.URL, "--connect", "127.0.0.1:8080", "--credentials", folder, "--output", "json")
}
