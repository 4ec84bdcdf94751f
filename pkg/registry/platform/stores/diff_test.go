package stores

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	const none = "(none)"
	type change struct{ Path, From, To string }
	tests := []struct {
		name, from, to string
		want           []change
	}{
		{"nothing", `{"spec":{"plan":"a"}}`, `{"spec":{"plan":"a"}}`, nil},
		{"text", `{"spec":{"plan":"a","host":"h"}}`, `{"spec":{"plan":"b","host":"h"}}`, []change{{"spec.plan", "a", "b"}}},
		{"added and removed", `{"spec":{"a":"1"}}`, `{"spec":{"b":true}}`, []change{{"spec.a", "1", none}, {"spec.b", none, "true"}}},
		{"number for text", `{"spec":{"a":"1"}}`, `{"spec":{"a":2}}`, []change{{"spec.a", "1", "2"}}},
		{"whole object", `{"spec":{}}`, `{"spec":{"values":{"a":{"b":1}}}}`, []change{{"spec.values.a.b", none, "1"}}},
		{"empty object", `{"spec":{"values":{"a":{}}}}`, `{"spec":{"values":{"b":{}}}}`, []change{{"spec.values.a", "{}", none}, {"spec.values.b", none, "{}"}}},
		{"object for text", `{"spec":{"a":"1"}}`, `{"spec":{"a":{"b":1}}}`, []change{{"spec.a", "1", `{"b":1}`}}},
		{"label with dots", `{"metadata":{"labels":{}}}`, `{"metadata":{"labels":{"example.com/a":"b"}}}`, []change{{"metadata.labels[example.com/a]", none, "b"}}},
		{"conditions by type, whatever their order",
			`{"status":{"conditions":[{"type":"A","status":"False"},{"type":"B","status":"True"}]}}`,
			`{"status":{"conditions":[{"type":"B","status":"True"},{"type":"A","status":"True"}]}}`,
			[]change{{"status.conditions[A].status", "False", "True"}}},
		{"steps by name", `{"status":{}}`, `{"status":{"steps":[{"name":"N","state":"Done"}]}}`,
			[]change{{"status.steps[N].name", none, "N"}, {"status.steps[N].state", none, "Done"}}},
		{"list of texts", `{"metadata":{"finalizers":["a","b"]}}`, `{"metadata":{"finalizers":["b"]}}`, []change{{"metadata.finalizers", `["a","b"]`, `["b"]`}}},
		{"list of the same names", `{"spec":{"l":[{"name":"a"},{"name":"a"}]}}`, `{"spec":{"l":[{"name":"a"}]}}`, []change{{"spec.l", `[{"name":"a"},{"name":"a"}]`, `[{"name":"a"}]`}}},
		{"what the server counts", `{"metadata":{"resourceVersion":"1","generation":1,"managedFields":[1]}}`, `{"metadata":{"resourceVersion":"2","generation":2,"managedFields":[2]}}`, nil},
		{"what kubectl keeps", `{"metadata":{"annotations":{"a":"b"}}}`, `{"metadata":{"annotations":{"a":"b","kubectl.kubernetes.io/last-applied-configuration":"{}"}}}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var from, to map[string]any
			if err := json.Unmarshal([]byte(test.from), &from); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(test.to), &to); err != nil {
				t.Fatal(err)
			}
			var got []change
			for _, c := range changes(view(from), view(to)) {
				seen := change{c.Path, none, none}
				if c.From != nil {
					seen.From = *c.From
				}
				if c.To != nil {
					seen.To = *c.To
				}
				got = append(got, seen)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
