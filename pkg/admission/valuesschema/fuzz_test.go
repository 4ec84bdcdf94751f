package valuesschema

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// Whatever schema an engine brings and whatever values a store, they are refused below
// spec.values or accepted, as the library does, within moments.
func FuzzSchema(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type":"object","additionalProperties":false,"properties":{"theme":{"type":"string","enum":["light","dark"]}}}`, `{"theme":"blue"}`},
		{`{"properties":{"a":{"pattern":"^(a+)+$"}}}`, `{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}`},
		{`{"properties":{"a":{"multipleOf":0}}}`, `{"a":1}`},
		{`{"properties":{"a":{"multipleOf":1e-300,"maximum":1e400}}}`, `{"a":1e308}`},
		{`{"properties":{"a":{"$ref":"#/a"}}}`, `{"a":1}`},
		{`{"allOf":[{"anyOf":[{"oneOf":[{"not":{}}]}]}],"minProperties":-1}`, `{}`},
		{`{"items":{"type":"array","uniqueItems":true,"items":[{"type":"integer"}]}}`, `[[1,1,"x"]]`},
		{`{"type":["object","null"],"format":"date-time"}`, `null`},
		{`{"properties":{"a":{"format":"duration"},"b":{"format":"byte"}}}`, `{"a":"1h","b":"=="}`},
		{`{"dependencies":{"a":["b"]},"patternProperties":{"(":{}}}`, `{"a":1}`},
		{`{"anyOf":[{"properties":{"a":{"type":["string","null"]}}},{"type":"array"}]}`, `{"a":1}`},
		{`{"additionalProperties":{"type":"boolean","nullable":true},"required":["b"]}`, `{"a":null,"c":[]}`},
		{`[]`, `{}`}, {`{"type":5}`, `{}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, document, values []byte) {
		begin := time.Now()
		schema, err := Parse(document)
		if err != nil {
			return
		}
		faults := schema.Validate(values, field.NewPath("spec", "values"))
		for _, fault := range faults {
			below, found := strings.CutPrefix(fault.Field, "spec.values")
			if !found || below != "" && below[0] != '.' && below[0] != '[' {
				t.Errorf("a fault of %q: %v", fault.Field, fault)
			}
		}
		var read any
		if err := json.Unmarshal(values, &read); err != nil {
			if len(faults) == 0 {
				t.Error("values that cannot be read are accepted")
			}
		} else if err := validate.AgainstSchema(schema.schema, read, strfmt.Default); (err == nil) != (len(faults) == 0) {
			t.Errorf("found %v, and the library %v", faults, err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("took %s", took)
		}
	})
}
