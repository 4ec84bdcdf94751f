package stores

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/subresource"
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

// NewREST returns the REST storage of stores and of stores/status. Stores
// without a host answer under domain. The storage that optionsGetter makes applies
// rules to every write; ledger tells what it has on its books. Dry runs are answered
// with what would change in the shops of engines.
func NewREST(scheme *runtime.Scheme, optionsGetter generic.RESTOptionsGetter, domain string, rules *claims.Rules, ledger claims.Ledger, engines rest.Getter, shops Shops) (*REST, *subresource.StatusREST, error) {
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
	return &REST{store, rules, ledger, &previewer{scheme, engines, shops}}, subresource.NewStatusREST(store, statusStrategy{strategy}), nil
}
