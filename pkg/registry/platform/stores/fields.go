package stores

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// attributes returns what selectors on stores can see: the labels, and the
// fields that v1alpha1 declares as selectable.
func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	store, ok := obj.(*platform.Store)
	if !ok {
		return nil, nil, fmt.Errorf("expected a Store, got %T", obj)
	}
	selectable := generic.AddObjectMetaFieldsSet(fields.Set{
		v1alpha1.FieldEngine: store.Spec.Engine,
		v1alpha1.FieldPlan:   store.Spec.Plan,
		v1alpha1.FieldOwner:  store.Spec.Owner,
		v1alpha1.FieldReady:  string(ready(store).Status),
	}, &store.ObjectMeta, true)
	return labels.Set(store.Labels), selectable, nil
}

// match selects stores by labels and by the fields of attributes.
func match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attributes}
}

// ready returns the Ready condition, or an Unknown one for a store without.
func ready(store *platform.Store) metav1.Condition {
	if condition := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady); condition != nil {
		return *condition
	}
	return metav1.Condition{Status: metav1.ConditionUnknown}
}
