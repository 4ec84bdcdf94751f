package stores

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/validation"
	"platform.dev/stores/pkg/registry/platform/subresource"
)

// statusStrategy says how a Store is updated through its status subresource:
// nothing but the status changes.
type statusStrategy struct {
	strategy
}

var _ subresource.StatusStrategy = statusStrategy{}

// GetResetFields names what the status subresource does not own.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return subresource.NotOfStatus(fieldpath.MakePathOrDie("status", "preview"))
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
