package stores

import (
	"context"

	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
)

// originImmutable is where the validation of tags says that a fault comes from.
const originImmutable = "immutable"

// ValidateDeclaratively returns every fault that the tags of fields find, and says what to
// do about those that do not say so themselves.
func (s strategy) ValidateDeclaratively(ctx context.Context, obj, old runtime.Object, faults field.ErrorList, op operation.Type, config rest.DeclarativeValidationConfig) field.ErrorList {
	faults = s.DeclarativeValidation.ValidateDeclaratively(ctx, obj, old, faults, op, config)
	for _, fault := range faults {
		if fault.Field != "spec.engine" {
			continue
		}
		switch {
		case fault.Type == field.ErrorTypeRequired:
			fault.Detail = "must be one of those that `kubectl get engines` lists"
		case fault.Origin == originImmutable:
			fault.BadValue = obj.(*platform.Store).Spec.Engine
			fault.Detail += ": to move to another engine create another store"
		}
	}
	return faults
}
