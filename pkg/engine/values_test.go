package engine

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func raw(s string) *runtime.RawExtension {
	if s == "" {
		return nil
	}
	return &runtime.RawExtension{Raw: []byte(s)}
}

func testEngine() *v1alpha1.Engine {
	return &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "medusa"},
		Spec: v1alpha1.EngineSpec{
			DefaultVersion: "2.0",
			Versions:       []v1alpha1.EngineVersion{{Name: "1.0"}, {Name: "2.0"}},
			DefaultPlan:    "small",
			Plans:          []v1alpha1.EnginePlan{{Name: "small"}, {Name: "large"}},
			ValuesSchema:   raw(`{"type":"object"}`),
		},
	}
}

func testStore() *v1alpha1.Store {
	return &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "team-a"},
		Spec: v1alpha1.StoreSpec{
			Engine: "medusa", Version: "2.0", Plan: "small",
			DisplayName: "Flowers", Host: "flowers.localhost", AdminEmail: "admin@flowers.localhost",
		},
	}
}

var testPlatform = Platform{Scheme: "http", Port: 8080, CredentialsSecret: "store-credentials"}

func TestValues(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		engine, version, plan, store string
		mappings                     []v1alpha1.ValueMapping
		edit                         func(*v1alpha1.Store)
		want                         string
	}{
		"nothing set": {want: `{}`},
		"each layer wins over the one before": {
			engine: `{"a":1,"b":1,"c":1,"d":1}`, version: `{"b":2,"c":2,"d":2}`, plan: `{"c":3,"d":3}`, store: `{"d":4}`,
			want: `{"a":1,"b":2,"c":3,"d":4}`,
		},
		"objects merge at every depth": {
			engine: `{"app":{"image":{"name":"shop","tag":"1"},"replicas":1}}`, version: `{"app":{"image":{"tag":"2"}}}`,
			want: `{"app":{"image":{"name":"shop","tag":"2"},"replicas":1}}`,
		},
		"lists are replaced whole":   {engine: `{"l":[1,2,3]}`, plan: `{"l":[4]}`, want: `{"l":[4]}`},
		"an object gives way":        {engine: `{"a":{"b":1}}`, plan: `{"a":2}`, want: `{"a":2}`},
		"an object takes over":       {engine: `{"a":2}`, plan: `{"a":{"b":1}}`, want: `{"a":{"b":1}}`},
		"null reaches the chart":     {engine: `{"a":1}`, plan: `{"a":null}`, want: `{"a":null}`},
		"large numbers stay whole":   {plan: `{"size":123456789012}`, want: `{"size":123456789012}`},
		"mappings win over all":      {store: `{"title":"mine"}`, mappings: []v1alpha1.ValueMapping{{Value: "title", From: v1alpha1.StoreFieldDisplayName}}, want: `{"title":"Flowers"}`},
		"mappings replace a scalar":  {store: `{"store":"x"}`, mappings: []v1alpha1.ValueMapping{{Value: "store.title", From: v1alpha1.StoreFieldDisplayName}}, want: `{"store":{"title":"Flowers"}}`},
		"mappings keep the siblings": {engine: `{"a":{"b":{"c":1}}}`, mappings: []v1alpha1.ValueMapping{{Value: "a.b.d", From: v1alpha1.StoreFieldPlan}}, want: `{"a":{"b":{"c":1,"d":"small"}}}`},
		"every field": {
			mappings: []v1alpha1.ValueMapping{
				{Value: "f.name", From: v1alpha1.StoreFieldName}, {Value: "f.title", From: v1alpha1.StoreFieldDisplayName},
				{Value: "f.host", From: v1alpha1.StoreFieldHost}, {Value: "f.url", From: v1alpha1.StoreFieldURL},
				{Value: "f.email", From: v1alpha1.StoreFieldAdminEmail}, {Value: "f.version", From: v1alpha1.StoreFieldVersion},
				{Value: "f.plan", From: v1alpha1.StoreFieldPlan}, {Value: "f.secret", From: v1alpha1.StoreFieldCredentialsSecret},
				{Value: "f.asleep", From: v1alpha1.StoreFieldHibernated}, {Value: "f.keep", From: v1alpha1.StoreFieldRetainData},
			},
			edit: func(s *v1alpha1.Store) {
				s.Spec.PowerState = v1alpha1.PowerStateHibernated
				s.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
			},
			want: `{"f":{"name":"flowers","title":"Flowers","host":"flowers.localhost","url":"http://flowers.localhost:8080",
				"email":"admin@flowers.localhost","version":"2.0","plan":"small","secret":"store-credentials","asleep":true,"keep":true}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, s := testEngine(), testStore()
			e.Spec.Values, e.Spec.Versions[1].Values, e.Spec.Plans[0].Values = raw(tc.engine), raw(tc.version), raw(tc.plan)
			e.Spec.Mappings, s.Spec.Values = tc.mappings, raw(tc.store)
			if tc.edit != nil {
				tc.edit(s)
			}
			engineBefore, storeBefore := e.DeepCopy(), s.DeepCopy()

			got, err := Values(e, s, testPlatform)
			if err != nil {
				t.Fatalf("Values: %v", err)
			}
			want, err := decode(raw(tc.want))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(engineBefore, e) + cmp.Diff(storeBefore, s); diff != "" {
				t.Errorf("Values changed what it was given:\n%s", diff)
			}
		})
	}
}

func TestValuesRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*v1alpha1.Engine, *v1alpha1.Store)
		want string
	}{
		"an unknown version": {
			edit: func(_ *v1alpha1.Engine, s *v1alpha1.Store) { s.Spec.Version = "9" },
			want: `engine "medusa" has no version "9", use one of: 1.0, 2.0`,
		},
		"an unknown plan": {
			edit: func(_ *v1alpha1.Engine, s *v1alpha1.Store) { s.Spec.Plan = "huge" },
			want: `engine "medusa" has no plan "huge", use one of: small, large`,
		},
		"store values without a schema": {
			edit: func(e *v1alpha1.Engine, s *v1alpha1.Store) { e.Spec.ValuesSchema = nil; s.Spec.Values = raw(`{"a":1}`) },
			want: `invalid values: spec.values: engine "medusa" takes no values`,
		},
		"values that are no object": {
			edit: func(e *v1alpha1.Engine, _ *v1alpha1.Store) { e.Spec.Values = raw(`[1]`) },
			want: `invalid values: reading the engine's spec.values: `,
		},
		"an unknown field": {
			edit: func(e *v1alpha1.Engine, _ *v1alpha1.Store) {
				e.Spec.Mappings = []v1alpha1.ValueMapping{{Value: "a", From: "Password"}}
			},
			want: `invalid values: mapping "a" of engine "medusa": unknown field "Password"`,
		},
		"an empty part in a path": {
			edit: func(e *v1alpha1.Engine, _ *v1alpha1.Store) {
				e.Spec.Mappings = []v1alpha1.ValueMapping{{Value: "a..b", From: v1alpha1.StoreFieldName}}
			},
			want: `invalid values: mapping "a..b" of engine "medusa": the path has an empty part`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, s := testEngine(), testStore()
			tc.edit(e, s)
			_, err := Values(e, s, testPlatform)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Fatalf("Values: got error %v, want one that starts with %q", err, tc.want)
			}
			var notOffered *NotOfferedError
			if !errors.Is(err, ErrValues) && !errors.As(err, &notOffered) {
				t.Errorf("the error is neither ErrValues nor *NotOfferedError: %v", err)
			}
		})
	}
}

// roundTrip is the title that comes out of the values as a chart gets them,
// through JSON as Helm stores them.
func roundTrip(t *testing.T, title string) string {
	t.Helper()
	e, s := testEngine(), testStore()
	e.Spec.Mappings = []v1alpha1.ValueMapping{{Value: "store.title", From: v1alpha1.StoreFieldDisplayName}}
	s.Spec.DisplayName = title
	values, err := Values(e, s, testPlatform)
	if err != nil {
		t.Fatalf("Values: %v", err)
	}
	b, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Store struct{ Title string } }
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	return got.Store.Title
}

func TestAnyTitleRoundTrips(t *testing.T) {
	t.Parallel()
	same := func(title string) bool {
		title = strings.ToValidUTF8(title, "?")
		return roundTrip(t, title) == title
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

func FuzzTitleRoundTrips(f *testing.F) {
	for _, seed := range []string{
		"Flowers", "", `{a,b}=1,c=2`, `"; DROP TABLE stores; --`, "$(id) `id` ${HOME}", "{{ .Values.x }}",
		"<script>alert(1)</script>", "a: b\n- c", "null", "1e3", "\u202efdp.exe", "花屋 🌷", "\u0000\t\r\n", "a.b.c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, title string) {
		if !utf8.ValidString(title) {
			t.Skip("the API takes valid UTF-8 only")
		}
		if got := roundTrip(t, title); got != title {
			t.Errorf("title %q came out as %q", title, got)
		}
	})
}

func TestDigest(t *testing.T) {
	t.Parallel()
	digest := func(s string) string {
		t.Helper()
		v, err := decode(raw(s))
		if err != nil {
			t.Fatal(err)
		}
		d, err := Digest(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if a, b := digest(`{"a":1,"b":{"c":2}}`), digest(`{"b":{"c":2},"a":1}`); a != b {
		t.Errorf("the order of keys changes the digest: %s, %s", a, b)
	}
	if a, b := digest(`{"a":1}`), digest(`{"a":"1"}`); a == b {
		t.Error("a number and its text have the same digest")
	}
	if d := digest(`{}`); len(d) != 32 {
		t.Errorf("the digest %q has not 32 digits", d)
	}
}
