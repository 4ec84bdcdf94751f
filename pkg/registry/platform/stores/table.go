package stores

import (
	"k8s.io/apimachinery/pkg/runtime"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/table"
)

// columns are what `kubectl get stores` prints; those of priority 1 come with
// -o wide.
var columns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "The store's name."},
	{Name: "Engine", Type: "string", Description: "The shop software."},
	{Name: "Plan", Type: "string", Description: "The store's size."},
	{Name: "Ready", Type: "string", Description: "True when the shop sells."},
	{Name: "Status", Type: "string", Description: "What the store is doing, in a word."},
	{Name: "URL", Type: "string", Description: "Where shoppers find the shop."},
	{Name: "Age", Type: "string", Description: "The time since the store was created."},
	{Name: "Namespace", Type: "string", Priority: 1, Description: "The namespace that holds the shop."},
	{Name: "Version", Type: "string", Priority: 1, Description: "The engine version that is installed."},
	{Name: "Owner", Type: "string", Priority: 1, Description: "Who created the store."},
}

func cells(obj runtime.Object) []any {
	store := obj.(*platform.Store)
	condition := ready(store)
	return []any{
		store.Name, store.Spec.Engine, store.Spec.Plan, string(condition.Status), condition.Reason,
		store.Status.URL, table.Age(store.CreationTimestamp),
		store.Status.Namespace, store.Status.Version, store.Spec.Owner,
	}
}
