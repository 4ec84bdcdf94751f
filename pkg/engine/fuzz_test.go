package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// Whatever the layers and the path of a mapping hold, values come out as JSON takes
// them, with the mapping over all else, and their origin is a field of the store. What
// cannot be put together is told as such.
func FuzzValues(f *testing.F) {
	f.Add(`{"a":1}`, `{"a":{"b":2}}`, `{"c":[1,2]}`, `{"d":null}`, "store.title")
	f.Add(`{"a":1e400}`, `{"a":9223372036854775808}`, `{"":{"":{}}}`, `{"a":"\ud800"}`, "a")
	f.Add(`{"a":{"b":{"c":1}}}`, `{"a":1}`, `{"a":{"b":[]}}`, `{"a":-0.0}`, "a.b.c.d")
	f.Add(`[]`, `null`, ``, `{"a":1,"a":2}`, "")
	f.Fuzz(func(t *testing.T, ofEngine, ofVersion, ofPlan, ofStore, path string) {
		if !utf8.ValidString(path) {
			t.Skip("the API takes valid UTF-8 only")
		}
		e, s := testEngine(), testStore()
		e.Spec.Values, e.Spec.Versions[1].Values, e.Spec.Plans[0].Values, s.Spec.Values = raw(ofEngine), raw(ofVersion), raw(ofPlan), raw(ofStore)
		e.Spec.Mappings = []v1alpha1.ValueMapping{{Value: path, From: v1alpha1.StoreFieldDisplayName}}
		values, err := Values(e, s, testPlatform)
		if err != nil {
			if !errors.Is(err, ErrValues) {
				t.Errorf("an error that is not ErrValues: %v", err)
			}
			return
		}
		if got := at(values, strings.Split(path, ".")); got != s.Spec.DisplayName {
			t.Errorf("the value at %q is %v, want the mapping's", path, got)
		}
		digest, err := Digest(values)
		if err != nil {
			t.Fatalf("values that no chart can be given: %v", err)
		}
		again, err := Values(e, s, testPlatform)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(values, again); diff != "" {
			t.Errorf("the same layers make other values:\n%s", diff)
		}
		if second, err := Digest(again); err != nil || second != digest {
			t.Errorf("the digest changes from %s to %s, %v", digest, second, err)
		}
		encoded, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		read, err := decode(raw(string(encoded)))
		if err != nil {
			t.Fatalf("reading the values that Helm stores: %v", err)
		}
		// A zero may lose its sign on the way.
		if stored, err := Digest(read); err != nil || stored != digest && !bytes.Contains(encoded, []byte("-0")) {
			t.Errorf("stored values have digest %s, %v, want %s", stored, err, digest)
		}
		for key := range values {
			if field := Origin(e, s, []string{key}).String(); !slices.Contains([]string{"metadata", "spec"}, strings.Split(field, ".")[0]) {
				t.Errorf("value %q comes from %q", key, field)
			}
		}
	})
}

// at is the value at a path.
func at(value any, path []string) any {
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// A store's namespace is one that Kubernetes takes, whatever the store is called, and
// another than that of a store of the same name with another UID.
func FuzzNamespaceName(f *testing.F) {
	f.Add("flowers", "2c1d5a4e-0000-4000-8000-000000000000")
	f.Add(strings.Repeat("a-", 31)+"a", "")
	f.Add("a.b", "x")
	f.Fuzz(func(t *testing.T, name, uid string) {
		s := testStore()
		s.Name, s.UID = name, types.UID(uid)
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return // refused before
		}
		if faults := validation.IsDNS1123Label(NamespaceName(s)); len(faults) > 0 {
			t.Errorf("namespace %q: %v", NamespaceName(s), faults)
		}
		later := s.DeepCopy()
		later.UID += "-later"
		if NamespaceName(later) == NamespaceName(s) {
			t.Errorf("two stores have namespace %q", NamespaceName(s))
		}
	})
}
