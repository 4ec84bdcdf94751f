package clients

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	applyv1alpha1 "platform.dev/stores/pkg/generated/applyconfiguration/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
)

// Apply states what this program wants of a store, whether it is there or not. All other
// fields are the server's and other programs'; a field that the program does not state any
// more gets its default back. Applying the same again changes nothing.
func Apply(ctx context.Context, client versioned.Interface, namespace, name, engine, title string) (*v1alpha1.Store, error) {
	wanted := applyv1alpha1.Store(name, namespace).
		WithSpec(applyv1alpha1.StoreSpec().WithEngine(engine).WithDisplayName(title))
	// Without Force a field that another program has stated is a Conflict error that
	// names it.
	return client.PlatformV1alpha1().Stores(namespace).Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "example", Force: true})
}
