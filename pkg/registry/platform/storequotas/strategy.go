// Package storequotas is the registry of StoreQuotas.
package storequotas

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/validation"
	"platform.dev/stores/pkg/registry/platform/base"
)

// strategy says how a StoreQuota is created and updated.
type strategy struct {
	base.Strategy
}

var (
	_ rest.RESTCreateStrategy            = strategy{}
	_ rest.RESTUpdateStrategy            = strategy{}
	_ rest.RESTDeleteStrategy            = strategy{}
	_ rest.DeclarativeValidationStrategy = strategy{}
)

// NamespaceScoped is false: an owner is counted over all namespaces.
func (strategy) NamespaceScoped() bool { return false }

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
