// Package blastradius proves how little of a cluster notices when our servers or their
// database fail. The cluster's APIService leads to the servers of one test at a time, so
// these tests run one after the other.
package blastradius

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
	"platform.dev/stores/test/internal/tiny"
)

// patience bounds every wait without a promise of its own.
const patience = time.Minute

var env *harness.Environment

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	shared := &process.Scope{}
	defer shared.End()
	database := postgrestest.StartServer(shared, "fsync=off", "full_page_writes=off")
	var err error
	env, err = harness.Start(context.Background(), database.DSN())
	defer env.Stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func platform(t testing.TB, config *rest.Config) typed.PlatformV1alpha1Interface {
	t.Helper()
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.PlatformV1alpha1()
}

func core(t testing.TB) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(env.Admin())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func newNamespace(t testing.TB) string {
	t.Helper()
	namespace, err := core(t).CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// newStore creates a store without a provisioner, through the cluster.
func newStore(t testing.TB, namespace string) *v1alpha1.Store {
	t.Helper()
	client := platform(t, env.Admin())
	var store *v1alpha1.Store
	// The cluster takes a moment to see who serves the platform's API.
	eventually(t, "a store to be created", func(ctx context.Context) (bool, error) {
		engine, err := client.Engines().Create(ctx, tiny.Engine("tiny-"+rand.String(8), 600), metav1.CreateOptions{})
		if err != nil {
			return false, nil
		}
		store, err = client.Stores(namespace).Create(ctx, &v1alpha1.Store{
			ObjectMeta: metav1.ObjectMeta{Name: "flowers"},
			Spec:       v1alpha1.StoreSpec{Engine: engine.Name, Host: engine.Name + ".example.com"},
		}, metav1.CreateOptions{})
		return err == nil, err
	})
	return store
}

func eventually(t testing.TB, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, done); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
