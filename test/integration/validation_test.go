package integration

import (
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

func TestBadStoresAreRefused(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	raw := func(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }
	tests := []struct {
		name    string
		change  func(*v1alpha1.Store)
		field   string
		message string
	}{
		{"no engine", func(s *v1alpha1.Store) { s.Spec.Engine = "" }, "spec.engine", "Required value"},
		{"unknown engine", func(s *v1alpha1.Store) { s.Spec.Engine = "magento" }, "spec.engine", "kubectl get engines"},
		{"engine of 900 KiB", func(s *v1alpha1.Store) { s.Spec.Engine = strings.Repeat("a", 900<<10) }, "spec.engine", "63"},
		{"engine with a path", func(s *v1alpha1.Store) { s.Spec.Engine = "../stores" }, "spec.engine", "kubectl get engines"},
		{"unknown version", func(s *v1alpha1.Store) { s.Spec.Version = "9.9" }, "spec.version", `supported values: "1.0", "2.0"`},
		{"unknown plan", func(s *v1alpha1.Store) { s.Spec.Plan = "huge" }, "spec.plan", `supported values: "small", "large"`},
		{"upper-case name", func(s *v1alpha1.Store) { s.Name = "Flowers" }, "metadata.name", "lower case"},
		{"name with dots", func(s *v1alpha1.Store) { s.Name = "flow.ers" }, "metadata.name", "must not contain dots"},
		{"long name", func(s *v1alpha1.Store) { s.Name = strings.Repeat("a", 64) }, "metadata.name", "63"},
		{"long title", func(s *v1alpha1.Store) { s.Spec.DisplayName = strings.Repeat("a", 129) }, "spec.displayName", "128"},
		{"title of 900 KiB", func(s *v1alpha1.Store) { s.Spec.DisplayName = strings.Repeat("a", 900<<10) }, "spec.displayName", "128"},
		{"hostile title of 900 KiB", func(s *v1alpha1.Store) { s.Spec.DisplayName = strings.Repeat("\u202e", 1<<18) }, "spec.displayName", "128"},
		{"control character in title", func(s *v1alpha1.Store) { s.Spec.DisplayName = "a\x07b" }, "spec.displayName", "U+0007"},
		{"line break in title", func(s *v1alpha1.Store) { s.Spec.DisplayName = "a\nb" }, "spec.displayName", "U+000A"},
		{"line separator in title", func(s *v1alpha1.Store) { s.Spec.DisplayName = "a\u2028b" }, "spec.displayName", "U+2028"},
		{"direction mark in title", func(s *v1alpha1.Store) { s.Spec.DisplayName = "a\u202eb" }, "spec.displayName", "U+202E"},
		{"bad host", func(s *v1alpha1.Store) { s.Spec.Host = "-flowers_.example.com" }, "spec.host", "RFC 1123"},
		{"host with a path", func(s *v1alpha1.Store) { s.Spec.Host = "example.com/a" }, "spec.host", "RFC 1123"},
		{"bad e-mail", func(s *v1alpha1.Store) { s.Spec.AdminEmail = "nobody" }, "spec.adminEmail", "owner@example.com"},
		{"e-mail with a name", func(s *v1alpha1.Store) { s.Spec.AdminEmail = "Me <me@example.com>" }, "spec.adminEmail", "owner@example.com"},
		{"e-mail of 900 KiB", func(s *v1alpha1.Store) { s.Spec.AdminEmail = strings.Repeat("a", 900<<10) }, "spec.adminEmail", "254"},
		{"unknown power state", func(s *v1alpha1.Store) { s.Spec.PowerState = "Off" }, "spec.powerState", `supported values: "Hibernated", "Running"`},
		{"unknown deletion policy", func(s *v1alpha1.Store) { s.Spec.DeletionPolicy = "Keep" }, "spec.deletionPolicy", `supported values: "Delete", "Retain"`},
		{"value that the schema lacks", func(s *v1alpha1.Store) { s.Spec.Values = raw(`{"image":"evil"}`) }, "spec.values", "image"},
		{"value of the wrong type", func(s *v1alpha1.Store) { s.Spec.Values = raw(`{"theme":1}`) }, "spec.values.theme", "string"},
		{"value that is not offered", func(s *v1alpha1.Store) { s.Spec.Values = raw(`{"theme":"pink"}`) }, "spec.values.theme", "light"},
		{"values that are no object", func(s *v1alpha1.Store) { s.Spec.Values = raw(`["a"]`) }, "spec.values", "JSON object"},
		{"values of 65 KiB", func(s *v1alpha1.Store) { s.Spec.Values = raw(`{"theme":"` + strings.Repeat("a", 65<<10) + `"}`) }, "spec.values", "65536"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := newStore("flowers", engine)
			test.change(store)
			_, err := harness.Platform(t, env.Admin()).Stores(namespace).Create(t.Context(), store, metav1.CreateOptions{})
			invalid(t, err, test.field, test.message)
		})
	}
}

// Two faults are told at once, each once.
func TestAllFaultsAreToldOnce(t *testing.T) {
	t.Parallel()
	store := newStore("flowers", newEngine(t))
	store.Spec.PowerState, store.Spec.Host = "Off", "_"
	_, err := harness.Platform(t, env.Admin()).Stores(env.NewNamespace(t)).Create(t.Context(), store, metav1.CreateOptions{})
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		t.Fatalf("got %v, want Invalid", err)
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, cause.Field)
	}
	slices.Sort(fields)
	if want := []string{"spec.host", "spec.powerState"}; !slices.Equal(fields, want) {
		t.Errorf("faults of %v, want %v: %v", fields, want, err)
	}
}

func TestEngineWithoutSchemaTakesNoValues(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	engine.ObjectMeta = metav1.ObjectMeta{Name: engine.Name + "-plain"}
	engine.Spec.ValuesSchema = nil
	if _, err := harness.Platform(t, env.Admin()).Engines().Create(t.Context(), engine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	store := newStore("flowers", engine)
	store.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"a":1}`)}
	_, err := harness.Platform(t, env.Admin()).Stores(env.NewNamespace(t)).Create(t.Context(), store, metav1.CreateOptions{})
	invalid(t, err, "spec.values", "takes no values")
}

func TestBadEnginesAreRefused(t *testing.T) {
	t.Parallel()
	fixture := newEngine(t)
	tests := []struct {
		name    string
		change  func(*v1alpha1.EngineSpec)
		field   string
		message string
	}{
		{"default version not offered", func(s *v1alpha1.EngineSpec) { s.DefaultVersion = "9" }, "spec.defaultVersion", "supported values"},
		{"default plan not offered", func(s *v1alpha1.EngineSpec) { s.DefaultPlan = "huge" }, "spec.defaultPlan", "supported values"},
		{"no versions", func(s *v1alpha1.EngineSpec) { s.Versions = nil }, "spec.versions", "Required value"},
		{"version twice", func(s *v1alpha1.EngineSpec) { s.Versions = append(s.Versions, s.Versions[0]) }, "spec.versions[2]", "Duplicate value"},
		{"no chart", func(s *v1alpha1.EngineSpec) { s.Chart = v1alpha1.ChartSource{} }, "spec.chart", "must specify one of"},
		{"two charts", func(s *v1alpha1.EngineSpec) { s.Chart.OCI = s.Chart.Builtin }, "spec.chart", "must specify exactly one"},
		{"schema with a reference", func(s *v1alpha1.EngineSpec) {
			s.ValuesSchema = &runtime.RawExtension{Raw: []byte(`{"properties":{"a":{"$ref":"#/definitions/a"}}}`)}
		}, "spec.valuesSchema", "$ref"},
		{"no checks", func(s *v1alpha1.EngineSpec) { s.Storefront.Checks = nil }, "spec.storefront.checks", "Required value"},
		{"check of another host", func(s *v1alpha1.EngineSpec) { s.Storefront.Checks[0].Path = "//evil.example.com" }, "spec.storefront.checks[0].path", "must start with"},
		{"port", func(s *v1alpha1.EngineSpec) { s.Storefront.Port = 70000 }, "spec.storefront.port", "65535"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine := &v1alpha1.Engine{ObjectMeta: metav1.ObjectMeta{GenerateName: "bad-"}, Spec: *fixture.Spec.DeepCopy()}
			test.change(&engine.Spec)
			_, err := harness.Platform(t, env.Admin()).Engines().Create(t.Context(), engine, metav1.CreateOptions{})
			invalid(t, err, test.field, test.message)
		})
	}
}

func TestTitlesRoundTrip(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	titles := map[string]string{
		"html":       `<script>alert("1")</script> & <b>Söhne</b>`,
		"shell":      "$(rm -rf /) `id`; echo 'a' | cat > /dev/null && true \\",
		"yaml":       "{a: [b]}, - #c: *d &e !f %g @h",
		"template":   "{{ .Values.secret }} ${HOME} %s",
		"languages":  "花屋 · زهور · Цветы · 🌷",
		"whitespace": "  two  spaces  ",
	}
	for name, title := range titles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(name, engine)
			store.Spec.DisplayName = title
			create(t, namespace, store)
			read, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if read.Spec.DisplayName != title {
				t.Errorf("title is %q, want %q", read.Spec.DisplayName, title)
			}
		})
	}
}

func TestValuesRoundTrip(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	store := newStore("flowers", newEngine(t))
	store.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"theme":"dark"}`)}
	create(t, namespace, store)
	read, err := harness.Platform(t, env.Admin()).Stores(namespace).Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(read.Spec.Values.Raw); got != `{"theme":"dark"}` {
		t.Errorf("values are %s", got)
	}
}

// invalid checks that err is a 422 of bearable length, with a cause that names the
// field and tells the message.
func invalid(t *testing.T, err error, field, message string) {
	t.Helper()
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		t.Fatalf("got %v, want Invalid", err)
	}
	if len(err.Error()) > 4096 {
		t.Errorf("the message has %d bytes", len(err.Error()))
	}
	var messages []string
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == field {
			messages = append(messages, cause.Message)
		}
	}
	if !slices.ContainsFunc(messages, func(m string) bool { return strings.Contains(m, message) }) {
		t.Errorf("no cause of %s says %q: %.1000s", field, message, err)
	}
}
