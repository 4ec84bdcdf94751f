package engine

import (
	"cmp"
	"fmt"
	"strings"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// NotOfferedError tells that a store asks for something its engine does not
// have. Retrying does not help: the store or the engine has to change.
type NotOfferedError struct {
	// Engine is the engine's name.
	Engine string
	// Field is what was asked for: "version" or "plan".
	Field string
	// Name is the one that was asked for.
	Name string
	// Offered are the names to choose from.
	Offered []string
}

// Error names what was asked for and what there is.
func (e *NotOfferedError) Error() string {
	return fmt.Sprintf("engine %q has no %s %q, use one of: %s", e.Engine, e.Field, e.Name, strings.Join(e.Offered, ", "))
}

// Version finds the version of e that is called name; an empty name means the
// engine's default. The error is a *NotOfferedError.
func Version(e *v1alpha1.Engine, name string) (*v1alpha1.EngineVersion, error) {
	return find(e, "version", cmp.Or(name, e.Spec.DefaultVersion), e.Spec.Versions,
		func(v *v1alpha1.EngineVersion) string { return v.Name })
}

// Plan finds the plan of e that is called name; an empty name means the
// engine's default. The error is a *NotOfferedError.
func Plan(e *v1alpha1.Engine, name string) (*v1alpha1.EnginePlan, error) {
	return find(e, "plan", cmp.Or(name, e.Spec.DefaultPlan), e.Spec.Plans,
		func(p *v1alpha1.EnginePlan) string { return p.Name })
}

// find returns the one of what e offers as field that is called name.
func find[T any](e *v1alpha1.Engine, field, name string, items []T, nameOf func(*T) string) (*T, error) {
	offered := make([]string, 0, len(items))
	for i := range items {
		if nameOf(&items[i]) == name {
			return &items[i], nil
		}
		offered = append(offered, nameOf(&items[i]))
	}
	return nil, &NotOfferedError{Engine: e.Name, Field: field, Name: name, Offered: offered}
}
