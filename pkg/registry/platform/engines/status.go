package engines

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

// statusStrategy says how an Engine is updated through its status subresource:
// nothing but the status changes.
type statusStrategy struct {
	strategy
}

var _ subresource.StatusStrategy = statusStrategy{}

// GetResetFields names what the status subresource does not own.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return subresource.NotOfStatus()
}

// PrepareForUpdate keeps everything but the status.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	engine, oldEngine := obj.(*platform.Engine), old.(*platform.Engine)
	engine.Spec = oldEngine.Spec
	metav1.ResetObjectMetaForStatus(&engine.ObjectMeta, &oldEngine.ObjectMeta)
}

// ValidateUpdate returns every fault of the new status.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEngineStatusUpdate(obj.(*platform.Engine), old.(*platform.Engine))
}
