package storequotas

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/base"
	"platform.dev/stores/pkg/registry/platform/table"
)

// columns are what `kubectl get storequotas` prints.
var columns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "The quota's name."},
	{Name: "Subjects", Type: "string", Description: "Whom the quota concerns."},
	{Name: "Stores", Type: "string", Description: "How many stores there may be."},
	{Name: "Rate", Type: "string", Description: "How many stores may be created in a span of time."},
	{Name: "Age", Type: "string", Description: "The time since the quota was created."},
}

func cells(obj runtime.Object) []any {
	quota := obj.(*platform.StoreQuota)
	var subjects []string
	for _, subject := range quota.Spec.Subjects {
		subjects = append(subjects, string(subject.Kind)+"/"+subject.Name)
	}
	stores, rate := "", ""
	if hard := quota.Spec.Hard.Stores; hard != nil {
		stores = fmt.Sprint(*hard)
	}
	if r := quota.Spec.CreateRate; r != nil {
		rate = fmt.Sprintf("%d/%s", r.Count, duration.HumanDuration(time.Duration(r.WindowSeconds)*time.Second))
	}
	return []any{quota.Name, strings.Join(subjects, ","), stores, rate, table.Age(quota.CreationTimestamp)}
}

// REST serves quotas.
type REST struct {
	*genericregistry.Store
}

var _ rest.CategoriesProvider = &REST{}

// Categories are the groups of resources that quotas are listed with.
func (*REST) Categories() []string { return []string{"platform"} }

// NewREST returns the REST storage of quotas.
func NewREST(scheme *runtime.Scheme, optionsGetter generic.RESTOptionsGetter) (*REST, error) {
	strategy := strategy{base.NewStrategy(scheme)}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &platform.StoreQuota{} },
		NewListFunc:               func() runtime.Object { return &platform.StoreQuotaList{} },
		DefaultQualifiedResource:  platform.Resource("storequotas"),
		SingularQualifiedResource: platform.Resource("storequota"),
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		TableConvertor:            table.Convertor{Columns: columns, Cells: cells},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optionsGetter}); err != nil {
		return nil, fmt.Errorf("completing the storage of storequotas: %w", err)
	}
	return &REST{store}, nil
}
