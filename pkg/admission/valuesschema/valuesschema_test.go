package valuesschema

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, schema string
		want         string // a part of the error, none if the schema is good
	}{
		{"object", `{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}}`, ""},
		{"property that is called $ref", `{"properties":{"$ref":{"type":"string"}}}`, ""},
		{"reference", `{"properties":{"a":{"$ref":"#/definitions/a"}}}`, "$ref"},
		{"reference in a list", `{"anyOf":[{"$ref":"https://example.com/schema.json"}]}`, "$ref"},
		{"broken JSON", `{`, "reading the schema"},
		{"list", `[]`, "reading the schema"},
		{"type that is none", `{"type":5}`, "reading the schema"},
		{"broken pattern", `{"properties":{"a":{"type":"string","pattern":"("}}}`, "pattern"},
		{"broken pattern in a list", `{"properties":{"a":{"items":{"anyOf":[{"pattern":"a**"}]}}}}`, "pattern"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(test.schema))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const schema = `{
		"type": "object",
		"additionalProperties": false,
		"required": ["theme"],
		"properties": {
			"theme": {"type": "string", "enum": ["light", "dark"]},
			"title": {"type": "string", "maxLength": 5, "pattern": "^[a-z]*$"},
			"limits": {"type": "object", "additionalProperties": false, "properties": {"products": {"type": "integer", "minimum": 1, "maximum": 100}}},
			"tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}}
		}
	}`
	parsed, err := Parse([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, values string
		want         []string // the faulty fields
	}{
		{"good", `{"theme":"dark","title":"abc","limits":{"products":5},"tags":["a"]}`, nil},
		{"not offered", `{"theme":"pink"}`, []string{"spec.values.theme"}},
		{"missing", `{}`, []string{"spec.values.theme"}},
		{"unknown", `{"theme":"dark","image":"evil"}`, []string{"spec.values"}},
		{"unknown below", `{"theme":"dark","limits":{"cpu":1}}`, []string{"spec.values.limits"}},
		{"too long", `{"theme":"dark","title":"abcdef"}`, []string{"spec.values.title"}},
		{"not the pattern", `{"theme":"dark","title":"A"}`, []string{"spec.values.title"}},
		{"too much", `{"theme":"dark","limits":{"products":101}}`, []string{"spec.values.limits.products"}},
		{"fraction", `{"theme":"dark","limits":{"products":1.5}}`, []string{"spec.values.limits.products"}},
		{"wrong type in a list", `{"theme":"dark","tags":[1]}`, []string{"spec.values.tags[0]"}},
		{"too many", `{"theme":"dark","tags":["a","b","c"]}`, []string{"spec.values.tags"}},
		{"two faults", `{"theme":"dark","title":"A","limits":{"products":0}}`, []string{"spec.values.title", "spec.values.limits.products"}},
		{"broken JSON", `{`, []string{"spec.values"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := map[string]bool{}
			for _, err := range parsed.Validate([]byte(test.values), field.NewPath("spec", "values")) {
				found[err.Field] = true
			}
			for _, want := range test.want {
				if !found[want] {
					t.Errorf("no fault of %s, got %v", want, found)
				}
			}
			if len(found) != len(test.want) {
				t.Errorf("faults of %v, want of %v", found, test.want)
			}
		})
	}
}

func TestValidateSaysWhatToDo(t *testing.T) {
	t.Parallel()
	parsed, err := Parse([]byte(`{"type":"object","additionalProperties":false,"required":["theme"],"properties":{
		"theme":{"type":"string","enum":["light","dark"]},"title":{"type":"string","maxLength":2},"tags":{"type":"array","uniqueItems":true},
		"count":{"type":["integer","null"],"minimum":1},"sizes":{"items":{"type":"number"}},"since":{"type":"string","format":"date-time"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, values, want string }{
		{"not offered", `{"theme":"pink"}`, `spec.values.theme: Unsupported value: "pink": supported values: "light", "dark"`},
		{"missing", `{}`, `spec.values.theme: Required value: must be set: the engine needs it`},
		{"unknown", `{"theme":"dark","image":"evil"}`, `spec.values: Invalid value: "image": must not be set: the engine has no such setting`},
		{"too long", `{"theme":"dark","title":"abc"}`, `spec.values.title: Invalid value: "abc": must be at most 2 chars long`},
		{"another type", `{"theme":1}`, `spec.values.theme: Invalid value: 1: must be of type string, not number`},
		{"fraction", `{"theme":"dark","count":1.5}`, `spec.values.count: Invalid value: 1.5: must be of type integer or null, not number`},
		{"text for a number", `{"theme":"dark","sizes":[1,"2"]}`, `spec.values.sizes[1]: Invalid value: "2": must be of type number, not string`},
		{"nothing", `{"theme":null}`, `spec.values.theme: Invalid value: null: must be of type string, not null`},
		{"object for a text", `{"theme":{"a":1}}`, `spec.values.theme: Invalid value: must be of type string, not object`},
		{"list for all", `[]`, `spec.values: Invalid value: must be of type object, not array`},
		{"no time", `{"theme":"dark","since":"today"}`, `spec.values.since: Invalid value: must be of type date-time: "today"`},
		{"twice", `{"theme":"dark","tags":[1,1]}`, `spec.values.tags: Invalid value: null: must not contain duplicates`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			errs := parsed.Validate([]byte(test.values), field.NewPath("spec", "values"))
			if len(errs) != 1 || errs[0].Error() != test.want {
				t.Errorf("got %v, want %s", errs, test.want)
			}
		})
	}
}
