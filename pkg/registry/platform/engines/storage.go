package engines

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/base"
	"platform.dev/stores/pkg/registry/platform/subresource"
	"platform.dev/stores/pkg/registry/platform/table"
)

// columns are what `kubectl get engines` prints.
var columns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "The engine's name, as stores give it."},
	{Name: "Title", Type: "string", Description: "The engine's name as people write it."},
	{Name: "Default", Type: "string", Description: "The version of a store that names none."},
	{Name: "Versions", Type: "string", Description: "The versions offered."},
	{Name: "Plans", Type: "string", Description: "The plans offered."},
	{Name: "Rollout", Type: "string", Description: "How far the stores that follow the default version have come to it."},
	{Name: "Age", Type: "string", Description: "The time since the engine was created."},
}

func cells(obj runtime.Object) []any {
	engine := obj.(*platform.Engine)
	var versions, plans []string
	for _, version := range engine.Spec.Versions {
		versions = append(versions, version.Name)
	}
	for _, plan := range engine.Spec.Plans {
		plans = append(plans, plan.Name)
	}
	return []any{
		engine.Name, engine.Spec.DisplayName, engine.Spec.DefaultVersion,
		strings.Join(versions, ","), strings.Join(plans, ","), rollout(engine.Status.Rollout), table.Age(engine.CreationTimestamp),
	}
}

// rollout is such as "Progressing 3/12".
func rollout(status *platform.RolloutStatus) string {
	if status == nil {
		return "<none>"
	}
	return fmt.Sprintf("%s %d/%d", status.Phase, status.Updated, status.Total)
}

// REST serves engines.
type REST struct {
	*genericregistry.Store
}

var _ rest.CategoriesProvider = &REST{}

// Categories are the groups of resources that engines are listed with.
func (*REST) Categories() []string { return []string{"platform"} }

// NewREST returns the REST storage of engines and of engines/status.
func NewREST(scheme *runtime.Scheme, optionsGetter generic.RESTOptionsGetter) (*REST, *subresource.StatusREST, error) {
	strategy := strategy{base.NewStrategy(scheme)}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &platform.Engine{} },
		NewListFunc:               func() runtime.Object { return &platform.EngineList{} },
		DefaultQualifiedResource:  platform.Resource("engines"),
		SingularQualifiedResource: platform.Resource("engine"),
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		ResetFieldsStrategy:       strategy,
		TableConvertor:            table.Convertor{Columns: columns, Cells: cells},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optionsGetter}); err != nil {
		return nil, nil, fmt.Errorf("completing the storage of engines: %w", err)
	}
	return &REST{store}, subresource.NewStatusREST(store, statusStrategy{strategy}), nil
}
