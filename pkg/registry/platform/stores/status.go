package stores

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apis/platform/validation"
)

// statusStrategy says how a Store is updated through its status subresource:
// nothing but the status changes.
type statusStrategy struct {
	strategy
}

var (
	_ rest.RESTUpdateStrategy  = statusStrategy{}
	_ rest.ResetFieldsStrategy = statusStrategy{}
)

// GetResetFields names what the status subresource does not own.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("spec"),
			fieldpath.MakePathOrDie("status", "preview"),
			fieldpath.MakePathOrDie("metadata", "labels"),
			fieldpath.MakePathOrDie("metadata", "annotations"),
			fieldpath.MakePathOrDie("metadata", "finalizers"),
			fieldpath.MakePathOrDie("metadata", "ownerReferences"),
		),
	}
}

// PrepareForUpdate keeps everything but the status, and of that what only the server
// says.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	store, oldStore := obj.(*platform.Store), old.(*platform.Store)
	store.Spec = oldStore.Spec
	store.Status.Preview = nil
	metav1.ResetObjectMetaForStatus(&store.ObjectMeta, &oldStore.ObjectMeta)
}

// ValidateUpdate returns every fault of the new status.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateStoreStatusUpdate(obj.(*platform.Store), old.(*platform.Store))
}
