package clients

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
)

// Create asks for a store and returns it as the server has filled it in: with its
// version, plan, host and owner. A name that is taken is an AlreadyExists error, and what
// is wrong with the store an Invalid one that lists all of it.
func Create(ctx context.Context, client versioned.Interface, namespace, name, engine string) (*v1alpha1.Store, error) {
	store := &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.StoreSpec{Engine: engine},
	}
	return client.PlatformV1alpha1().Stores(namespace).Create(ctx, store, metav1.CreateOptions{})
}
