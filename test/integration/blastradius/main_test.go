// Package blastradius proves how little of a cluster notices when our servers or their
// database fail. The cluster's APIService leads to the servers of one test at a time, so
// these tests run one after the other.
package blastradius

import (
	"context"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/tiny"
)

// patience bounds every wait without a promise of its own.
const patience = time.Minute

var env *harness.Environment

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &env)) }

// newStore creates a store without a provisioner, through the cluster.
func newStore(t testing.TB, namespace string) *v1alpha1.Store {
	t.Helper()
	client := harness.Platform(t, env.Admin())
	var store *v1alpha1.Store
	// The cluster takes a moment to see who serves the platform's API.
	harness.Eventually(t, patience, "a store to be created", func(ctx context.Context) (bool, error) {
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
