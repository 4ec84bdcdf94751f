package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// newMedusa makes an engine of the built-in chart medusa that is the test's own, with
// versions 1.0 and 2.0, plans small and large, and no schema of its own.
func newMedusa(t *testing.T) *v1alpha1.Engine {
	t.Helper()
	raw := func(s string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(s)} }
	plan := func(name, memory, values string) v1alpha1.EnginePlan {
		return v1alpha1.EnginePlan{Name: name, Quota: map[string]resource.Quantity{"limits.memory": resource.MustParse(memory)}, Values: raw(values)}
	}
	engine := newEngine(t)
	return editEngine(t, engine, func(spec *v1alpha1.EngineSpec) {
		*spec.Chart.Builtin = "medusa"
		spec.Versions = []v1alpha1.EngineVersion{{Name: "1.0", Values: raw(`{"image":{"tag":"1.0"}}`)}, {Name: "2.0", Values: raw(`{"image":{"tag":"2.0"}}`)}}
		spec.Plans = []v1alpha1.EnginePlan{plan("small", "4Gi", `{}`), plan("large", "8Gi", `{"resources":{"medusa":{"limits":{"memory":"3Gi"}}},"route":{"type":"ingress"}}`)}
		spec.ValuesSchema = raw(`{"type":"object"}`)
		spec.Mappings = []v1alpha1.ValueMapping{
			{Value: "store.name", From: v1alpha1.StoreFieldName}, {Value: "store.title", From: v1alpha1.StoreFieldDisplayName},
			{Value: "store.url", From: v1alpha1.StoreFieldURL}, {Value: "existingSecret", From: v1alpha1.StoreFieldCredentialsSecret},
		}
		spec.Credentials = []v1alpha1.Credential{{Key: "admin-password", Generate: &v1alpha1.RandomValue{Length: 24}}}
	})
}

func editEngine(t *testing.T, engine *v1alpha1.Engine, edit func(*v1alpha1.EngineSpec)) *v1alpha1.Engine {
	t.Helper()
	engine = engine.DeepCopy()
	edit(&engine.Spec)
	edited, err := harness.Platform(t, env.Admin()).Engines().Update(t.Context(), engine, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return edited
}

// A dry run tells what would change in the shop, down to the fields of what the chart
// renders, and leaves the database as it is. The test runs alone, so that nobody else
// writes meanwhile.
func TestDiffShowsTheShop(t *testing.T) {
	for name, flags := range map[string][]string{"client side": nil, "server side": {"--server-side", "--force-conflicts"}} {
		t.Run(name, func(t *testing.T) { diffShowsTheShop(t, flags) })
	}
}

func diffShowsTheShop(t *testing.T, flags []string) {
	k, engine := newKubectl(t), newMedusa(t)
	missing := newEngine(t) // its chart is nowhere
	store := func(lines ...string) string { return manifest(engine, append([]string{"version: '1.0'"}, lines...)...) }
	object := func(name, change string) string {
		return fmt.Sprintf("+    - change: %s\n+      object: %s\n", change, name)
	}
	field := func(path, from, to string) string {
		return fmt.Sprintf("+      - from: %s\n+        path: %s\n+        to: %s\n", from, path, to)
	}
	tests := []struct {
		name, manifest string
		code           int
		want, not      []string
	}{
		{"nothing", store(), 0, nil, []string{"preview"}},
		{"what the shop has not", store("deletionProtection: true"), 1, []string{"No object of the shop changes."}, []string{"object:"}},
		{"a new store", strings.ReplaceAll(store(), "flowers", "bread"), 1, []string{
			object("Deployment/medusa", "Added"), object("ResourceQuota/store-plan", "Added"), object("NetworkPolicy/store-default-deny", "Added"), object("Secret/store-credentials", "Added"),
		}, []string{"fields:", "cannot be told"}},
		{"another version", strings.Replace(store(), "1.0", "2.0", 1), 1, []string{
			"+      object: Deployment/medusa\n", field("spec.template.spec.containers[medusa].image", "platform.dev/medusa:1.0", "platform.dev/medusa:2.0"),
		}, []string{"ResourceQuota", "object: Service/", "message"}},
		{"another plan", store("plan: large"), 1, []string{
			"+      object: Deployment/medusa\n", field("spec.template.spec.containers[medusa].resources.limits.memory", "1Gi", "3Gi"),
			"+      object: ResourceQuota/store-plan\n", field("spec.hard[limits.memory]", "4Gi", "8Gi"),
			object("Ingress/storefront", "Added"),
		}, []string{"image", "message"}},
		{"another title", store("displayName: Roses"), 1, []string{"from: flowers", "to: Roses"}, []string{"ResourceQuota", "message"}},
		{"other values", store("values: {persistence: {database: {size: 4Gi}}}"), 1, []string{
			"+      object: PersistentVolumeClaim/database\n", field("spec.resources.requests.storage", "2Gi", "4Gi"),
		}, []string{"Deployment"}},
		{"values that the chart refuses", store("values: {catalog: {currency: EURO}}"), 2, []string{"spec.values.catalog.currency", "the chart refuses its value"}, nil},
		{"a value that the chart has not", store("values: {catalogue: {}}"), 2, []string{"spec.values.catalogue", "the chart has no such value"}, nil},
		{"a version that there is not", strings.Replace(store(), "1.0", "3.0", 1), 2, []string{"spec.version", `"1.0", "2.0"`}, nil},
		{"a chart that there is not", strings.ReplaceAll(manifest(missing), "flowers", "bread"), 1, []string{"What would change in the shop cannot be told", "built-in chart"}, []string{"object:"}},
	}
	with := func(args ...string) []string { return append(args, flags...) }
	k.run(store(), with("apply", "-f", "-")...)
	before := everything(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := k.try(test.manifest, with("diff", "-f", "-")...)
			if code := min(r.code, 2); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			output := r.stdout + r.stderr
			contains(t, output, test.want...)
			for _, part := range test.not {
				if strings.Contains(output, part) {
					t.Errorf("%q is in:\n%s", part, output)
				}
			}
		})
	}
	if diff := cmp.Diff(before, everything(t)); diff != "" {
		t.Errorf("the database changed (-before +after):\n%s", diff)
	}
}

// everything is what all tables of the database hold.
func everything(t *testing.T) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	tables, err := conn.Query(t.Context(), `select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema') order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(tables, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		rows, err := conn.Query(t.Context(), fmt.Sprintf(`select '%s ' || t::text from %s t order by 1`, name, name))
		if err != nil {
			t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, texts...)
	}
	if len(names) < 4 || len(all) == 0 {
		t.Fatalf("the database holds %d rows in the tables %v", len(all), names)
	}
	return all
}

// Every kind of dry run is answered with a preview, which nobody owns, and no write
// stores one.
func TestPreviewIsNotStored(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newMedusa(t)
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	created := create(t, namespace, newStore("flowers", engine))
	dry := []string{metav1.DryRunAll}
	edited := created.DeepCopy()
	edited.Spec.Plan = "large"
	apply := fmt.Appendf(nil, `{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"name":"flowers"},"spec":{"engine":%q,"plan":"large"},"status":{"preview":{"message":"forged"}}}`, engine.Name)
	force := true
	writes := map[string]func(dry []string) (*v1alpha1.Store, error){
		"update": func(dry []string) (*v1alpha1.Store, error) {
			return stores.Update(t.Context(), edited.DeepCopy(), metav1.UpdateOptions{DryRun: dry})
		},
		"patch": func(dry []string) (*v1alpha1.Store, error) {
			return stores.Patch(t.Context(), "flowers", types.MergePatchType, []byte(`{"spec":{"plan":"large"}}`), metav1.PatchOptions{DryRun: dry})
		},
		"apply": func(dry []string) (*v1alpha1.Store, error) {
			return stores.Patch(t.Context(), "flowers", types.ApplyPatchType, apply, metav1.PatchOptions{DryRun: dry, FieldManager: "tester", Force: &force})
		},
		"create": func(dry []string) (*v1alpha1.Store, error) {
			roses := newStore("roses", engine)
			roses.Status.Preview = &v1alpha1.StorePreview{Message: "forged"}
			return stores.Create(t.Context(), roses, metav1.CreateOptions{DryRun: dry})
		},
	}
	for name, write := range writes {
		tried, err := write(dry)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if preview := tried.Status.Preview; preview == nil || len(preview.Changes) == 0 || preview.Message != "" {
			t.Errorf("%s: a dry run is answered with the preview %+v", name, preview)
		}
		if owned := fmt.Sprint(tried.ManagedFields); strings.Contains(owned, "f:preview") {
			t.Errorf("%s: somebody manages the preview: %s", name, owned)
		}
	}
	// In this order each of them finds what it may write.
	for _, name := range []string{"create", "apply", "patch"} {
		written, err := writes[name](nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if written.Status.Preview != nil {
			t.Errorf("%s: the answer to a write has the preview %+v", name, written.Status.Preview)
		}
	}
	status := fmt.Appendf(nil, `{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"name":"flowers"},"status":{"url":"https://a.example.com","preview":{"message":"forged"}}}`)
	if _, err := stores.Patch(t.Context(), "flowers", types.ApplyPatchType, status, metav1.PatchOptions{FieldManager: "reporter"}, "status"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flowers", "roses"} {
		stored, err := stores.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if stored.Status.Preview != nil || strings.Contains(fmt.Sprint(stored.ManagedFields), "f:preview") {
			t.Errorf("store %s has a preview: %+v", name, stored)
		}
	}
}

// A rollback that is only tried tells what would change too.
func TestRollbackPreview(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newMedusa(t)
	created := create(t, namespace, newStore("flowers", engine))
	edit(t, env.Admin(), created, func(s *v1alpha1.Store) { s.Spec.Plan = "large" })
	back, err := rollBack(t, env.Admin(), created, created.ResourceVersion, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	removed := v1alpha1.ObjectChange{Object: "Ingress/storefront", Change: v1alpha1.ObjectRemoved}
	for _, change := range back.Status.Preview.Changes {
		if cmp.Equal(change, removed) {
			return
		}
	}
	t.Errorf("the preview is %+v, want one with %+v", back.Status.Preview, removed)
}

// A registry that does not answer holds a dry run up for a moment, and says so.
func TestPreviewIsBounded(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	registry := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(registry.Close)
	t.Cleanup(func() { close(hang) })
	namespace := env.NewNamespace(t)
	engine := editEngine(t, newEngine(t), func(spec *v1alpha1.EngineSpec) {
		spec.Chart = v1alpha1.ChartSource{Repository: &v1alpha1.ChartRepository{URL: registry.URL, Name: "shop"}}
		for i := range spec.Versions {
			spec.Versions[i].ChartVersion = "1.0.0"
		}
	})
	start := time.Now()
	tried, err := harness.Platform(t, env.Admin()).Stores(namespace).Create(t.Context(), newStore("flowers", engine), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the dry run took %s", took)
	}
	contains(t, tried.Status.Preview.Message, "cannot be told", "it takes too long")
}
