// Package storequotas is the registry of StoreQuotas.
package storequotas

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/validation"
)

// strategy says how a StoreQuota is created and updated.
type strategy struct {
	rest.DeclarativeValidation
	names.NameGenerator
}

var (
	_ rest.RESTCreateStrategy            = strategy{}
	_ rest.RESTUpdateStrategy            = strategy{}
	_ rest.RESTDeleteStrategy            = strategy{}
	_ rest.DeclarativeValidationStrategy = strategy{}
)

// NamespaceScoped is false: an owner is counted over all namespaces.
func (strategy) NamespaceScoped() bool { return false }

// AllowCreateOnUpdate is false: a PUT never creates a quota.
func (strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true: a PUT without a resourceVersion overwrites
// on purpose.
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// PrepareForCreate starts the generations.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*platform.StoreQuota).Generation = 1
}

// PrepareForUpdate counts a generation when the quota changes.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	quota, oldQuota := obj.(*platform.StoreQuota), old.(*platform.StoreQuota)
	if !apiequality.Semantic.DeepEqual(quota.Spec, oldQuota.Spec) {
		quota.Generation = oldQuota.Generation + 1
	}
}

// Validate returns every fault of a new quota.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateStoreQuota(obj.(*platform.StoreQuota))
}

// ValidateUpdate returns every fault of a changed quota.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateStoreQuotaUpdate(obj.(*platform.StoreQuota), old.(*platform.StoreQuota))
}

// WarningsOnCreate warns of nothing.
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate warns of nothing.
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// Canonicalize changes nothing: there is one way to write a quota.
func (strategy) Canonicalize(runtime.Object) {}
