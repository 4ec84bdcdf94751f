// Package stores is the registry of Stores: what may be written, what the
// server writes itself, how they are listed and selected.
package stores

import (
	"context"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apis/platform/validation"
	"platform.dev/stores/pkg/registry/platform/base"
)

// strategy says how a Store is created, updated and deleted through the main
// resource.
type strategy struct {
	base.Strategy
	domain string
}

var (
	_ rest.RESTCreateStrategy            = strategy{}
	_ rest.RESTUpdateStrategy            = strategy{}
	_ rest.RESTDeleteStrategy            = strategy{}
	_ rest.ResetFieldsStrategy           = strategy{}
	_ rest.DeclarativeValidationStrategy = strategy{}
)

// newStrategy makes stores without a host answer under domain.
func newStrategy(scheme *runtime.Scheme, domain string) strategy {
	return strategy{base.NewStrategy(scheme), domain}
}

// NamespaceScoped is true: who may see a store is decided by its namespace.
func (strategy) NamespaceScoped() bool { return true }

// GetResetFields names what the main resource does not own, so that server-side
// apply does not record an owner for it.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"),
			fieldpath.MakePathOrDie("spec", "owner"),
			fieldpath.MakePathOrDie("spec", "restore"),
		),
	}
}

// PrepareForCreate writes what only the server knows: who creates the store,
// the finalizer, the defaults that come from the name, and a Ready condition
// that no client can mistake for a finished store.
func (s strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	store := obj.(*platform.Store)
	store.Generation = 1
	store.Spec.Owner, store.Spec.Restore = "", nil
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		store.Spec.Owner = user.GetName()
	}
	store.Spec.Canonicalize()
	s.setDefaults(store)
	if !slices.Contains(store.Finalizers, v1alpha1.Finalizer) {
		store.Finalizers = append(store.Finalizers, v1alpha1.Finalizer)
	}
	store.Status = platform.StoreStatus{Conditions: []metav1.Condition{{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionUnknown,
		Reason:             v1alpha1.ReasonPending,
		Message:            "Waiting for the provisioner to take the store up.",
		LastTransitionTime: store.CreationTimestamp.Rfc3339Copy(),
	}}}
}

// PrepareForUpdate keeps what clients do not write, and counts a generation when
// the wanted state changes.
func (s strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	store, oldStore := obj.(*platform.Store), old.(*platform.Store)
	store.Spec.Restore = oldStore.Spec.Restore
	s.prepareForUpdate(store, oldStore)
}

func (s strategy) prepareForUpdate(store, oldStore *platform.Store) {
	store.Status = oldStore.Status
	store.Spec.Owner = oldStore.Spec.Owner
	store.Spec.Canonicalize()
	s.setDefaults(store)
	if !apiequality.Semantic.DeepEqual(store.Spec, oldStore.Spec) {
		store.Generation = oldStore.Generation + 1
	}
}

// setDefaults fills the fields whose defaults are made from other fields. What is made of
// a name that is missing would be one more fault that nobody has made.
func (s strategy) setDefaults(store *platform.Store) {
	if store.Spec.DisplayName == "" {
		store.Spec.DisplayName = store.Name
	}
	if store.Spec.Host == "" && store.Name != "" {
		store.Spec.Host = store.Name + "." + s.domain
	}
	if store.Spec.AdminEmail == "" && store.Spec.Host != "" {
		store.Spec.AdminEmail = "admin@" + store.Spec.Host
	}
}

// Validate returns every fault of a new store.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateStore(obj.(*platform.Store))
}

// ValidateUpdate returns every fault of a changed store.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateStoreUpdate(obj.(*platform.Store), old.(*platform.Store))
}

// WarningsOnUpdate warns of what a change does that its author may not expect, in at most
// 120 characters each.
func (strategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	return warnings(obj.(*platform.Store), old.(*platform.Store))
}

func warnings(store, old *platform.Store) []string {
	if store.Generation == old.Generation || store.DeletionTimestamp != nil {
		return nil
	}
	var texts []string
	if store.Spec.Host != old.Spec.Host {
		texts = append(texts, "spec.host: the shop stops answering at the old host, where shoppers and links may look for it")
	}
	if store.Spec.AdminEmail != old.Spec.AdminEmail {
		texts = append(texts, "spec.adminEmail: a change does not rename the login of a shop that is set up")
	}
	if old.Spec.DeletionPolicy == platform.DeletionPolicyRetain && store.Spec.DeletionPolicy == platform.DeletionPolicyDelete {
		texts = append(texts, "spec.deletionPolicy: deleting the store deletes the shop's data from now on")
	}
	if old.Spec.Suspend && store.Spec.Suspend {
		texts = append(texts, "the change takes no effect while spec.suspend is true")
	}
	return texts
}
