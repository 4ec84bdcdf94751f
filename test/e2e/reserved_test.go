package e2e

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// No store takes a host that the platform's values reserve, whether at its
// creation or later.
func TestReservedHosts(t *testing.T) {
	upgrade := func(t *testing.T, hosts string) {
		t.Helper()
		command(t, "_output/bin/helm", "upgrade", "platform", "charts/platform", "--namespace", platformNamespace,
			"--reset-then-reuse-values", "--set", "stores.reservedHosts="+hosts)
	}
	upgrade(t, "{www.example.com}")
	defer upgrade(t, "null")
	stores := platform.PlatformV1alpha1().Stores("default")
	create := func(ctx context.Context, host string) error {
		_, err := stores.Create(ctx, &v1alpha1.Store{
			ObjectMeta: metav1.ObjectMeta{Name: "reserved"},
			Spec:       v1alpha1.StoreSpec{Engine: "medusa", Host: host, Suspend: true},
		}, metav1.CreateOptions{DryRun: dryRun})
		return err
	}
	eventually(t, time.Minute, "the reserved host to be refused", func(ctx context.Context) (bool, string) {
		err := create(ctx, "www.example.com")
		if err == nil {
			return false, "accepted"
		}
		return apierrors.IsForbidden(err), err.Error()
	})
	if err := create(t.Context(), "ww.example.com"); err != nil {
		t.Errorf("another host is refused: %v", err)
	}
}
