// Package valuesschema checks the free-form values of stores against the schema
// of their engine.
package valuesschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

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

// Parse reads a schema. It fails on anything but a JSON object, on $ref, which the
// validator does not follow, and on patterns that are no regular expressions, which
// would match nothing.
func Parse(raw []byte) (*Schema, error) {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	if err := check(document); err != nil {
		return nil, err
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
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	var errs field.ErrorList
	for _, err := range newValidator(s.schema, path.String()).Validate(document).Errors {
		var wrongType *field.Error
		var invalid *openapierrors.Validation
		switch {
		case errors.As(err, &wrongType):
			errs = append(errs, wrongType)
		case errors.As(err, &invalid) && invalid.Name != "":
			errs = append(errs, fault(invalid))
		default:
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, err.Error()))
		}
	}
	return errs
}

// validator is kube-openapi's, but that it tells of a value of another type than its
// schema's with a *field.Error, and of nothing else that such a value breaks.
type validator struct {
	*validate.SchemaValidator
}

func newValidator(schema *spec.Schema, path string) validator {
	return validator{validate.NewSchemaValidator(schema, nil, path, strfmt.Default, func(options *validate.SchemaValidatorOptions) {
		options.NewValidatorForField = func(_ string, schema *spec.Schema, _ any, path string, _ strfmt.Registry, _ ...validate.Option) validate.ValueValidator {
			return newValidator(schema, path)
		}
		options.NewValidatorForIndex = func(_ int, schema *spec.Schema, _ any, path string, _ strfmt.Registry, _ ...validate.Option) validate.ValueValidator {
			return newValidator(schema, path)
		}
	})}
}

// Validate implements validate.ValueValidator.
func (v validator) Validate(value any) *validate.Result {
	want := v.Schema.Type
	typeOnly := &spec.Schema{SchemaProps: spec.SchemaProps{Type: want, Nullable: v.Schema.Nullable}}
	var found *openapierrors.Validation
	for _, err := range validate.NewSchemaValidator(typeOnly, nil, v.Path, strfmt.Default).Validate(value).Errors {
		if errors.As(err, &found) {
			message := fmt.Sprintf("must be of type %s, not %v", strings.Join(want, " or "), found.Value)
			return &validate.Result{Errors: []error{field.Invalid(field.NewPath(v.Path), shown(value), message)}}
		}
	}
	return v.SchemaValidator.Validate(value)
}

// shown is a value as a message shows it: an object or a list may be of any size.
func shown(value any) any {
	switch value.(type) {
	case map[string]any, []any:
		return field.OmitValueType{}
	}
	return value
}

// fault says in the words of the API what the validator has found.
func fault(found *openapierrors.Validation) *field.Error {
	path := field.NewPath(found.Name)
	switch found.Code() {
	case openapierrors.EnumFailCode:
		var offered []string
		for _, value := range found.Values {
			offered = append(offered, fmt.Sprint(value))
		}
		return field.NotSupported(path, found.Value, offered)
	case openapierrors.RequiredFailCode:
		return field.Required(path, "must be set: the engine needs it")
	case openapierrors.UnallowedPropertyCode:
		return field.Invalid(path, found.Value, "must not be set: the engine has no such setting")
	case openapierrors.InvalidTypeCode:
		// Of a format, or below an anyOf: the message holds what was found.
		found.Value = field.OmitValueType{}
	}
	return field.Invalid(path, found.Value, words.Replace(strings.TrimPrefix(found.Error(), found.Name+" in "+found.In+" ")))
}

// words are those of the validator and those of the API.
var words = strings.NewReplacer("should not", "must not", "shouldn't", "must not", "can't", "must not", "should", "must")

// check looks for what the validator would pass over in silence. A property may
// have any name, but its value there is a schema and no string.
func check(document any) error {
	switch node := document.(type) {
	case map[string]any:
		if _, ok := node["$ref"].(string); ok {
			return errors.New(`the schema must not use "$ref": write the referenced schema in its place`)
		}
		if pattern, ok := node["pattern"].(string); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				return fmt.Errorf("the pattern %q must be a regular expression: %w", pattern, err)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			if err := check(node[key]); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range node {
			if err := check(value); err != nil {
				return err
			}
		}
	}
	return nil
}
