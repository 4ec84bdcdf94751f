// Package valuesschema checks the free-form values of stores against the schema
// of their engine.
package valuesschema

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	openapierrors "k8s.io/kube-openapi/pkg/validation/errors"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// Schema is a JSON Schema in the dialect that Kubernetes uses for custom
// resources: OpenAPI v3 without references.
type Schema struct {
	schema *spec.Schema
}

// Parse reads a schema. It fails on anything but a JSON object, and on $ref,
// which the validator does not follow.
func Parse(raw []byte) (*Schema, error) {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	if hasReference(document) {
		return nil, errors.New(`the schema must not use "$ref": write the referenced schema in its place`)
	}
	schema := &spec.Schema{}
	if err := json.Unmarshal(raw, schema); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	return &Schema{schema}, nil
}

// Validate returns every way in which values break the schema, at its path.
func (s *Schema) Validate(values []byte, path *field.Path) field.ErrorList {
	var document any
	if err := json.Unmarshal(values, &document); err != nil {
		return field.ErrorList{field.Invalid(path, string(values), err.Error())}
	}
	result := validate.NewSchemaValidator(s.schema, nil, path.String(), strfmt.Default).Validate(document)
	var errs field.ErrorList
	for _, err := range result.Errors {
		var invalid *openapierrors.Validation
		if errors.As(err, &invalid) && invalid.Name != "" {
			errs = append(errs, field.Invalid(field.NewPath(invalid.Name), invalid.Value, err.Error()))
			continue
		}
		errs = append(errs, field.Invalid(path, string(values), err.Error()))
	}
	return errs
}

func hasReference(document any) bool {
	switch node := document.(type) {
	case map[string]any:
		for key, value := range node {
			if _, isString := value.(string); key == "$ref" && isString || hasReference(value) {
				return true
			}
		}
	case []any:
		for _, value := range node {
			if hasReference(value) {
				return true
			}
		}
	}
	return false
}
