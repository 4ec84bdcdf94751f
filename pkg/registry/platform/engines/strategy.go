// Package engines is the registry of Engines.
package engines

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apis/platform/validation"
	"platform.dev/stores/pkg/registry/platform/base"
)

// strategy says how an Engine is created and updated.
type strategy struct {
	base.Strategy
}

var (
	_ rest.RESTCreateStrategy            = strategy{}
	_ rest.RESTUpdateStrategy            = strategy{}
	_ rest.RESTDeleteStrategy            = strategy{}
	_ rest.ResetFieldsStrategy           = strategy{}
	_ rest.DeclarativeValidationStrategy = strategy{}
)

// NamespaceScoped is false: an engine is offered to the whole cluster.
func (strategy) NamespaceScoped() bool { return false }

// GetResetFields names what the main resource does not own.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// PrepareForCreate starts the generations, and writes values as they are stored.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	engine := obj.(*platform.Engine)
	engine.Generation = 1
	engine.Status = platform.EngineStatus{}
	engine.Spec.Canonicalize()
}

// PrepareForUpdate keeps the status, and counts a generation when the offer changes.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	engine, oldEngine := obj.(*platform.Engine), old.(*platform.Engine)
	engine.Status = oldEngine.Status
	engine.Spec.Canonicalize()
	if !apiequality.Semantic.DeepEqual(engine.Spec, oldEngine.Spec) {
		engine.Generation = oldEngine.Generation + 1
	}
}

// Validate returns every fault of a new engine.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateEngine(obj.(*platform.Engine))
}

// ValidateUpdate returns every fault of a changed engine.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEngineUpdate(obj.(*platform.Engine), old.(*platform.Engine))
}
