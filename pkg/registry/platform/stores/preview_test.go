package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/install"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// objects reads manifests.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for document := range strings.SplitSeq(text, "---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if len(object) > 0 {
			found = append(found, object)
		}
	}
	return found
}

func TestCompare(t *testing.T) {
	t.Parallel()
	const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: "
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop, labels: {a: b}}\n"
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n"
	changed := func(object string, fields ...platform.FieldChange) []platform.ObjectChange {
		return []platform.ObjectChange{{Object: object, Change: platform.ObjectChanged, Fields: fields}}
	}
	text := func(path string, from, to *string) platform.FieldChange {
		return platform.FieldChange{Path: path, From: from, To: to}
	}
	long := strings.Repeat("é", 300)
	for name, tc := range map[string]struct {
		before, after string
		want          []platform.ObjectChange
		message       string
	}{
		"nothing": {before: config, after: config, message: "No object of the shop changes."},
		"a new store": {after: secret + "---\n" + config + "---\n" + deployment + "{replicas: 1}", want: []platform.ObjectChange{
			{Object: "ConfigMap/shop", Change: platform.ObjectAdded}, {Object: "Deployment/shop", Change: platform.ObjectAdded}, {Object: "Secret/shop", Change: platform.ObjectAdded},
		}},
		"an object more, and one less": {before: config, after: secret, want: []platform.ObjectChange{
			{Object: "ConfigMap/shop", Change: platform.ObjectRemoved}, {Object: "Secret/shop", Change: platform.ObjectAdded},
		}},
		"the same in another API version": {
			before: "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: shop}\n",
			after:  "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: shop}\n",
			want:   changed("HorizontalPodAutoscaler/shop", text("apiVersion", ptr.To("autoscaling/v1"), ptr.To("autoscaling/v2"))),
		},
		"one of the same kind in another group": {
			before: "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: shop}\n",
			after:  "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\n",
			want: []platform.ObjectChange{
				{Object: "Ingress/shop", Change: platform.ObjectRemoved}, {Object: "Ingress/shop", Change: platform.ObjectAdded},
			},
		},
		"fields in a list of lists": {
			before: deployment + `{template: {spec: {containers: [{name: web, image: "shop:1", env: [{name: A, value: "1"}, {name: B, value: "2"}]}, {name: worker, image: "shop:1"}]}}}`,
			after:  deployment + `{template: {spec: {containers: [{name: worker, image: "shop:1"}, {name: web, image: "shop:2", env: [{name: B, value: "3"}], args: [--fast]}]}}}`,
			want: changed("Deployment/shop",
				text("spec.template.spec.containers[web].args", nil, ptr.To(`["--fast"]`)),
				text("spec.template.spec.containers[web].env[A].name", ptr.To("A"), nil),
				text("spec.template.spec.containers[web].env[A].value", ptr.To("1"), nil),
				text("spec.template.spec.containers[web].env[B].value", ptr.To("2"), ptr.To("3")),
				text("spec.template.spec.containers[web].image", ptr.To("shop:1"), ptr.To("shop:2"))),
		},
		"a number and a key with dots": {
			before: deployment + `{replicas: 1}`,
			after:  deployment + `{replicas: 2, selector: {matchLabels: {a.example.com/b: c}}}`,
			want: changed("Deployment/shop",
				text("spec.replicas", ptr.To("1"), ptr.To("2")),
				text("spec.selector.matchLabels[a.example.com/b]", nil, ptr.To("c"))),
		},
		"values of a Secret": {
			before: secret + "data: {old: b2xk, same: c2FtZQ==, other: b25l}\nstringData: {plain: one}\n",
			after:  strings.Replace(secret, "a: b", "a: c", 1) + "data: {new: bmV3, same: c2FtZQ==, other: dHdv}\nstringData: {plain: two}\nimmutable: true\ntype: Opaque\n",
			want: changed("Secret/shop",
				text("data.new", nil, ptr.To("(hidden)")),
				text("data.old", ptr.To("(hidden)"), nil),
				text("data.other", ptr.To("(hidden)"), ptr.To("(hidden)")),
				text("immutable", nil, ptr.To("(hidden)")),
				text("metadata.labels.a", ptr.To("b"), ptr.To("c")),
				text("stringData.plain", ptr.To("(hidden)"), ptr.To("(hidden)")),
				text("type", nil, ptr.To("Opaque"))),
		},
		"a Secret whose data is none": {
			before: secret + "data: password\n", after: secret + "data: [password]\n",
			want: changed("Secret/shop", text("data", ptr.To("(hidden)"), ptr.To("(hidden)"))),
		},
		"a long value that becomes another": {
			before: config + "data: {script: \"" + long + "x\"}\n", after: config + "data: {script: \"" + long + "yz\"}\n",
			want: changed("ConfigMap/shop", text("data.script", ptr.To("…"+strings.Repeat("é", 20)+"x"), ptr.To("…"+strings.Repeat("é", 20)+"yz"))),
		},
		"a long value that is new": {
			before: config, after: config + "data: {script: \"" + long + "\"}\n",
			want: changed("ConfigMap/shop", text("data.script", nil, ptr.To(strings.Repeat("é", 200)+"…"))),
		},
		"a value that becomes long": {
			before: config + "data: {script: short}\n", after: config + "data: {script: \"" + long + "\"}\n",
			want: changed("ConfigMap/shop", text("data.script", ptr.To("short"), ptr.To(strings.Repeat("é", 200)+"…"))),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := compare(objects(t, tc.before), objects(t, tc.after))
			if diff := cmp.Diff(&platform.StorePreview{Message: tc.message, Changes: tc.want}, got); diff != "" {
				t.Errorf("preview (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareIsBounded(t *testing.T) {
	t.Parallel()
	config := func(name, values string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {%s}\n", name, values)
	}
	var many, before, after, wide strings.Builder
	for i := range 103 {
		many.WriteString(config(fmt.Sprintf("c%03d", i), ""))
	}
	for i := range 4 {
		before.WriteString(config(fmt.Sprintf("c%d", i), ""))
		wide.Reset()
		for key := range 100 {
			fmt.Fprintf(&wide, "k%d: v, ", key)
		}
		after.WriteString(config(fmt.Sprintf("c%d", i), wide.String()))
	}
	for name, tc := range map[string]struct {
		before, after string
		shown         int
		message       string
	}{
		"many objects": {"", many.String(), 100, "Changed objects that are not shown: 3."},
		"many fields":  {before.String(), after.String(), 3, "Changed objects that are not shown: 1."},
	} {
		got := compare(objects(t, tc.before), objects(t, tc.after))
		if len(got.Changes) != tc.shown || got.Message != tc.message {
			t.Errorf("%s: %d changes are shown, and %q", name, len(got.Changes), got.Message)
		}
	}
}

// shopsFunc is Shops of a function.
type shopsFunc func(ctx context.Context, store *v1alpha1.Store, upgrade bool) ([]map[string]any, field.ErrorList, error)

func (f shopsFunc) Objects(ctx context.Context, _ *v1alpha1.Engine, store *v1alpha1.Store, upgrade bool) ([]map[string]any, field.ErrorList, error) {
	return f(ctx, store, upgrade)
}

// engineGetter has one engine.
type engineGetter struct{ err error }

func (g engineGetter) Get(context.Context, string, *metav1.GetOptions) (runtime.Object, error) {
	return &platform.Engine{ObjectMeta: metav1.ObjectMeta{Name: "medusa"}}, g.err
}

func TestPreview(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	// The title is in a ConfigMap, "bad" is refused, and "broken" cannot be rendered.
	shops := shopsFunc(func(_ context.Context, store *v1alpha1.Store, upgrade bool) ([]map[string]any, field.ErrorList, error) {
		switch store.Spec.DisplayName {
		case "bad":
			return nil, field.ErrorList{field.Invalid(field.NewPath("spec", "displayName"), "bad", "it is bad")}, nil
		case "broken":
			return nil, nil, errors.New("it is broken")
		}
		return []map[string]any{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "shop"}, "data": map[string]any{"title": store.Spec.DisplayName, "upgrade": upgrade}}}, nil, nil
	})
	named := func(title string, edits ...func(*platform.Store)) *platform.Store {
		store := &platform.Store{ObjectMeta: metav1.ObjectMeta{Name: "flowers"}, Spec: platform.StoreSpec{Engine: "medusa", Version: "1.0", DisplayName: title}}
		for _, edit := range edits {
			edit(store)
		}
		return store
	}
	const tulipsAndRoses = "ConfigMap/shop data.title Tulips Roses\n"
	for name, tc := range map[string]struct {
		old, store *platform.Store
		engine     error
		want       string // "none" for no preview
		fault      string
	}{
		"a new store":              {store: named("Roses"), want: "ConfigMap/shop Added\n"},
		"another title":            {old: named("Tulips"), store: named("Roses"), want: tulipsAndRoses},
		"the same spec":            {old: named("Tulips"), store: named("Tulips", func(s *platform.Store) { s.Labels = map[string]string{"a": "b"} }), want: "none"},
		"what the shop has not":    {old: named("Tulips"), store: named("Tulips", func(s *platform.Store) { s.Spec.DeletionProtection = true }), want: "No object of the shop changes."},
		"a store that goes":        {old: named("Tulips"), store: named("Roses", func(s *platform.Store) { s.DeletionTimestamp = &metav1.Time{} }), want: "none"},
		"what the chart refuses":   {old: named("Tulips"), store: named("bad"), fault: "spec.displayName"},
		"what cannot be rendered":  {old: named("Tulips"), store: named("broken"), want: "What would change in the shop cannot be told: it is broken"},
		"from what was refused":    {old: named("bad"), store: named("Roses"), want: `What would change in the shop cannot be told: what the store asks for now: spec.displayName: Invalid value: "bad": it is bad`},
		"from what was not there":  {old: named("broken"), store: named("Roses"), want: "What would change in the shop cannot be told: what the store asks for now: it is broken"},
		"an engine that is away":   {old: named("Tulips"), store: named("Roses"), engine: errors.New("away"), want: `What would change in the shop cannot be told: reading engine "medusa": away`},
		"a store that is let be":   {old: named("Tulips"), store: named("Roses", func(s *platform.Store) { s.Spec.Suspend = true }), want: tulipsAndRoses + "Nothing changes while spec.suspend is true."},
		"after a failed upgrade":   {old: named("Tulips", func(s *platform.Store) { s.Status.Version = "0.9" }), store: named("Roses"), want: tulipsAndRoses + "The shop runs version 0.9. The changes are those from version 1.0, which the store asks for now."},
		"after one that succeeded": {old: named("Tulips", func(s *platform.Store) { s.Status.Version = "1.0" }), store: named("Roses"), want: tulipsAndRoses},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &previewer{scheme, engineGetter{tc.engine}, shops}
			preview, err := p.preview(t.Context(), tc.old, tc.store)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("got error %v, want one that names %s", err, tc.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := "none"
			if preview != nil {
				got = ""
				for _, change := range preview.Changes {
					if len(change.Fields) == 0 {
						got += fmt.Sprintf("%s %s\n", change.Object, change.Change)
					}
					for _, f := range change.Fields {
						got += fmt.Sprintf("%s %s %s %s\n", change.Object, f.Path, *f.From, *f.To)
					}
				}
				got += preview.Message
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
