package stores

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/table"
	"platform.dev/stores/pkg/storage/claims"
)

// REST serves stores.
type REST struct {
	*genericregistry.Store
	rules    *claims.Rules
	ledger   claims.Ledger
	previews *previewer
}

var (
	_ rest.ShortNamesProvider = &REST{}
	_ rest.CategoriesProvider = &REST{}
)

// ShortNames are what kubectl accepts for "stores".
func (*REST) ShortNames() []string { return []string{"sto"} }

// Categories are the groups of resources that stores are listed with.
func (*REST) Categories() []string { return []string{"platform"} }

// StatusREST serves stores/status.
type StatusREST struct {
	store *genericregistry.Store
}

var (
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
)

// NewREST returns the REST storage of stores and of stores/status. Stores
// without a host answer under domain. The storage that optionsGetter makes applies
// rules to every write; ledger tells what it has on its books. Dry runs are answered
// with what would change in the shops of engines.
func NewREST(scheme *runtime.Scheme, optionsGetter generic.RESTOptionsGetter, domain string, rules *claims.Rules, ledger claims.Ledger, engines rest.Getter, shops Shops) (*REST, *StatusREST, error) {
	strategy := newStrategy(scheme, domain)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &platform.Store{} },
		NewListFunc:               func() runtime.Object { return &platform.StoreList{} },
		DefaultQualifiedResource:  platform.Resource("stores"),
		SingularQualifiedResource: platform.Resource("store"),
		PredicateFunc:             match,
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		ResetFieldsStrategy:       strategy,
		TableConvertor:            table.Convertor{Columns: columns, Cells: cells},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optionsGetter, AttrFunc: attributes}); err != nil {
		return nil, nil, fmt.Errorf("completing the storage of stores: %w", err)
	}

	status := *store
	status.UpdateStrategy = statusStrategy{strategy}
	status.ResetFieldsStrategy = statusStrategy{strategy}
	return &REST{store, rules, ledger, &previewer{scheme, engines, shops}}, &StatusREST{&status}, nil
}

// New returns an empty store to decode into.
func (*StatusREST) New() runtime.Object { return &platform.Store{} }

// Destroy does nothing: the storage belongs to REST.
func (*StatusREST) Destroy() {}

// Get returns the store, which a patch of its status starts from.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update changes the store's status and nothing else. It never creates.
func (r *StatusREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, createValidation, updateValidation, false, options)
}

// GetResetFields names what the status subresource does not own.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable renders the store as the main resource does.
func (r *StatusREST) ConvertToTable(ctx context.Context, obj, tableOptions runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, tableOptions)
}
