package chart

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// ValuesError tells that a chart's schema refuses values: Helm will never install them.
type ValuesError struct {
	// Faults are all that is wrong, at least one.
	Faults []Fault
}

// Fault is one value that a chart's schema refuses.
type Fault struct {
	// Path leads to the value, key by key.
	Path []string
	// Message says what is wrong with it.
	Message string
}

// Error names every value.
func (e *ValuesError) Error() string {
	texts := make([]string, 0, len(e.Faults))
	for _, fault := range e.Faults {
		texts = append(texts, fmt.Sprintf("%s: %s", strings.Join(fault.Path, "."), fault.Message))
	}
	return strings.Join(texts, ", ")
}

// checkValues holds values to the schema of a chart and to those of the charts in it,
// as Helm does, but that a schema cannot refer to what is elsewhere: nothing is loaded.
func checkValues(c *chart.Chart, values chartutil.Values) error {
	faults, err := faultsOf(c, values, nil)
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return &ValuesError{faults}
	}
	return nil
}

func faultsOf(c *chart.Chart, values map[string]any, at []string) ([]Fault, error) {
	var faults []Fault
	if c.Schema != nil {
		err := validate(c.Schema, values)
		var invalid *jsonschema.ValidationError
		switch {
		case errors.As(err, &invalid):
			faults = leaves(invalid, at)
		case err != nil:
			return nil, fmt.Errorf("reading the schema of chart %s: %w", c.Name(), err)
		}
	}
	for _, dependency := range c.Dependencies() {
		sub, ok := values[dependency.Name()].(map[string]any)
		if !ok {
			continue
		}
		more, err := faultsOf(dependency, sub, slices.Concat(at, []string{dependency.Name()}))
		if err != nil {
			return nil, err
		}
		faults = append(faults, more...)
	}
	return faults, nil
}

func validate(schema []byte, values map[string]any) error {
	const name = "file:///values.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // loads nothing
	if err := compiler.AddResource(name, document); err != nil {
		return err
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return err
	}
	return compiled.Validate(values)
}

// leaves are the faults that are behind one.
func leaves(invalid *jsonschema.ValidationError, at []string) []Fault {
	var faults []Fault
	for _, cause := range invalid.Causes {
		faults = append(faults, leaves(cause, at)...)
	}
	if len(faults) > 0 {
		return faults
	}
	path := slices.Concat(at, invalid.InstanceLocation)
	each := func(keys []string, message string) []Fault {
		for _, key := range keys {
			faults = append(faults, Fault{slices.Concat(path, []string{key}), message})
		}
		return faults
	}
	switch k := invalid.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return each(k.Properties, "the chart has no such value")
	case *kind.Required:
		return each(k.Missing, "the chart needs this value")
	default:
		return []Fault{{path, k.LocalizedString(message.NewPrinter(language.English))}}
	}
}
