package engine

import (
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
	if name == "" {
		name = e.Spec.DefaultVersion
	}
	offered := make([]string, 0, len(e.Spec.Versions))
	for i := range e.Spec.Versions {
		if e.Spec.Versions[i].Name == name {
			return &e.Spec.Versions[i], nil
		}
		offered = append(offered, e.Spec.Versions[i].Name)
	}
	return nil, &NotOfferedError{Engine: e.Name, Field: "version", Name: name, Offered: offered}
}

// Plan finds the plan of e that is called name; an empty name means the
// engine's default. The error is a *NotOfferedError.
func Plan(e *v1alpha1.Engine, name string) (*v1alpha1.EnginePlan, error) {
	if name == "" {
		name = e.Spec.DefaultPlan
	}
	offered := make([]string, 0, len(e.Spec.Plans))
	for i := range e.Spec.Plans {
		if e.Spec.Plans[i].Name == name {
			return &e.Spec.Plans[i], nil
		}
		offered = append(offered, e.Spec.Plans[i].Name)
	}
	return nil, &NotOfferedError{Engine: e.Name, Field: "plan", Name: name, Offered: offered}
}
