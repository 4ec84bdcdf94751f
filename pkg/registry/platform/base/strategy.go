// Package base is what the strategies of all resources have alike.
package base

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
)

// Strategy says how an object of any resource is written.
type Strategy struct {
	rest.DeclarativeValidation
	names.NameGenerator
}

// NewStrategy returns the strategy of the types in a scheme.
func NewStrategy(scheme *runtime.Scheme) Strategy {
	return Strategy{rest.DeclarativeValidation{Scheme: scheme}, names.SimpleNameGenerator}
}

// AllowCreateOnUpdate is false: a PUT never creates an object, so that a late update
// cannot bring a deleted one back.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true, as for most built-in resources: a PUT that carries a
// resourceVersion is refused when it is stale, and one without overwrites on purpose.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// WarningsOnCreate warns of nothing.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate warns of nothing.
func (Strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// Canonicalize changes nothing: there is one way to write an object.
func (Strategy) Canonicalize(runtime.Object) {}
