package v1alpha1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// The field selectors that Stores answer to, beside metadata.name and
// metadata.namespace.
const (
	// FieldEngine selects by spec.engine.
	FieldEngine = "spec.engine"
	// FieldPlan selects by spec.plan.
	FieldPlan = "spec.plan"
	// FieldOwner selects by spec.owner.
	FieldOwner = "spec.owner"
	// FieldReady selects by the status of the Ready condition: True, False or
	// Unknown. It is derived, and is not a field of the object.
	FieldReady = "status.ready"
)

// addFieldLabelConversions tells the API server which field selectors are
// legal in this version; all others are refused with the list of these.
func addFieldLabelConversions(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Store"), func(label, value string) (string, string, error) {
		switch label {
		case "metadata.name", "metadata.namespace", FieldEngine, FieldPlan, FieldOwner, FieldReady:
			return label, value, nil
		}
		return "", "", fmt.Errorf("field selector %q is not supported for stores, use one of metadata.name, metadata.namespace, %s, %s, %s, %s",
			label, FieldEngine, FieldPlan, FieldOwner, FieldReady)
	})
}
