package engine

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// fieldsOf are the fields of a store that the facts are made of.
var fieldsOf = map[v1alpha1.StoreField]*field.Path{
	v1alpha1.StoreFieldName:        field.NewPath("metadata", "name"),
	v1alpha1.StoreFieldDisplayName: field.NewPath("spec", "displayName"),
	v1alpha1.StoreFieldHost:        field.NewPath("spec", "host"),
	v1alpha1.StoreFieldURL:         field.NewPath("spec", "host"),
	v1alpha1.StoreFieldAdminEmail:  field.NewPath("spec", "adminEmail"),
	v1alpha1.StoreFieldVersion:     field.NewPath("spec", "version"),
	v1alpha1.StoreFieldPlan:        field.NewPath("spec", "plan"),
	v1alpha1.StoreFieldHibernated:  field.NewPath("spec", "powerState"),
	v1alpha1.StoreFieldRetainData:  field.NewPath("spec", "deletionPolicy"),
}

// Origin is the field of s that decides about the chart value at path: the one that
// Values takes it, or the nearest object around it, from. What s has no say in is the
// engine's.
func Origin(e *v1alpha1.Engine, s *v1alpha1.Store, path []string) *field.Path {
	own, _ := decode(s.Spec.Values)
	var ofVersion, ofPlan map[string]any
	if version, err := Version(e, s.Spec.Version); err == nil {
		ofVersion, _ = decode(version.Values)
	}
	if plan, err := Plan(e, s.Spec.Plan); err == nil {
		ofPlan, _ = decode(plan.Values)
	}
	for ; len(path) > 0; path = path[:len(path)-1] {
		mapped := slices.IndexFunc(e.Spec.Mappings, func(m v1alpha1.ValueMapping) bool { return m.Value == strings.Join(path, ".") })
		switch {
		case mapped >= 0 && fieldsOf[e.Spec.Mappings[mapped].From] != nil:
			return fieldsOf[e.Spec.Mappings[mapped].From]
		case has(own, path):
			return field.NewPath("spec", "values").Child(path[0], path[1:]...)
		case has(ofPlan, path):
			return field.NewPath("spec", "plan")
		case has(ofVersion, path):
			return field.NewPath("spec", "version")
		}
	}
	return field.NewPath("spec", "engine")
}

// has is true if there is a value at path.
func has(values map[string]any, path []string) bool {
	value, ok := values[path[0]]
	if !ok || len(path) == 1 {
		return ok
	}
	sub, _ := value.(map[string]any)
	return has(sub, path[1:])
}
