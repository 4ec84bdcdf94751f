package clients

import (
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
)

// Undo brings back the spec that a store had before its last change. Subresources are
// methods of the client: GetHistory, Rollback and GetCredentials.
func Undo(ctx context.Context, client versioned.Interface, namespace, name string) (*v1alpha1.Store, error) {
	stores := client.PlatformV1alpha1().Stores(namespace)
	history, err := stores.GetHistory(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	// The newest is the first, and a generation counts changes of the spec.
	before := slices.IndexFunc(history.Items, func(r v1alpha1.StoreRevision) bool { return r.Generation < history.Items[0].Generation })
	if before < 0 {
		return nil, errors.New("the store has not been changed")
	}
	to := v1alpha1.StoreRollbackSpec{ResourceVersion: history.Items[before].ResourceVersion}
	return stores.Rollback(ctx, name, &v1alpha1.StoreRollback{Spec: to}, metav1.CreateOptions{})
}
