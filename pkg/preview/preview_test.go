package preview

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery/fake"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/engine"
)

var charts = fstest.MapFS{
	"shop/Chart.yaml":         {Data: []byte("apiVersion: v2\nname: shop\nversion: 1.0.0\n")},
	"shop/values.yaml":        {Data: []byte("image: none\nreplicas: 1\n")},
	"shop/values.schema.json": {Data: []byte(`{"properties":{"title":{"maxLength":10},"replicas":{"maximum":3},"theme":{"enum":["light","dark"]}}}`)},
	"shop/templates/config.yaml": {Data: []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {title: {{ .Values.title }}, url: {{ .Values.url }}, secret: {{ .Values.secret }}, image: {{ .Values.image }}, namespace: {{ .Release.Namespace }}, version: {{ .Capabilities.KubeVersion.Version }}}
`)},
}

func testEngine() *v1alpha1.Engine {
	return &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec: v1alpha1.EngineSpec{
			Chart:    v1alpha1.ChartSource{Builtin: ptr.To("shop")},
			Versions: []v1alpha1.EngineVersion{{Name: "1.0", Values: &runtime.RawExtension{Raw: []byte(`{"image":"shop:1"}`)}}},
			Plans: []v1alpha1.EnginePlan{
				{Name: "small", Quota: map[string]resource.Quantity{"limits.memory": resource.MustParse("1Gi")}},
				{Name: "huge", Values: &runtime.RawExtension{Raw: []byte(`{"replicas":9}`)}},
			},
			ValuesSchema: &runtime.RawExtension{Raw: []byte(`{}`)},
			Mappings: []v1alpha1.ValueMapping{
				{Value: "title", From: v1alpha1.StoreFieldDisplayName}, {Value: "url", From: v1alpha1.StoreFieldURL}, {Value: "secret", From: v1alpha1.StoreFieldCredentialsSecret},
			},
			Credentials: []v1alpha1.Credential{{Key: "password", Generate: &v1alpha1.RandomValue{Length: 24}}},
		},
	}
}

func testStore() *v1alpha1.Store {
	return &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", UID: "a"},
		Spec:       v1alpha1.StoreSpec{Engine: "shop", Version: "1.0", Plan: "small", DisplayName: "Flowers", Host: "flowers.example.com"},
	}
}

func newShops() *Shops {
	cluster := &fake.FakeDiscovery{Fake: &clientgotesting.Fake{}, FakedServerVersion: &version.Info{GitVersion: "v1.37.2", Major: "1", Minor: "37"}}
	return New(charts, cluster, engine.Platform{Scheme: "http", Port: 8080})
}

func TestObjects(t *testing.T) {
	t.Parallel()
	objects, faults, err := newShops().Objects(t.Context(), testEngine(), testStore(), true)
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	got := map[string]any{}
	for _, object := range objects {
		content := object["spec"]
		if data, ok := object["data"]; ok {
			content = data
		}
		got[fmt.Sprint(object["kind"], "/", object["metadata"].(map[string]any)["name"])] = content
	}
	want := map[string]any{
		"ConfigMap/shop": map[string]any{
			"title": "Flowers", "url": "http://flowers.example.com:8080", "secret": "store-credentials", "image": "shop:1",
			"namespace": "store-flowers-ca978112", "version": "v1.37.2",
		},
		"ResourceQuota/store-plan":         map[string]any{"hard": map[string]any{"limits.memory": "1Gi"}},
		"LimitRange/store-plan":            map[string]any{"limits": []any{map[string]any{"type": "Container"}}},
		"NetworkPolicy/store-default-deny": map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress", "Egress"}},
		"Secret/store-credentials":         nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

func TestObjectsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit         func(*v1alpha1.Engine, *v1alpha1.Store)
		fault, wrong string
	}{
		"a title": {edit: func(_ *v1alpha1.Engine, s *v1alpha1.Store) { s.Spec.DisplayName = "Flowers & more" }, fault: `spec.displayName: Invalid value: the chart refuses its value "title": maxLength: got 14, want 10`},
		"a plan":  {edit: func(_ *v1alpha1.Engine, s *v1alpha1.Store) { s.Spec.Plan = "huge" }, fault: `spec.plan: Invalid value: the chart refuses its value "replicas"`},
		"a value": {edit: func(_ *v1alpha1.Engine, s *v1alpha1.Store) {
			s.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"theme":"red"}`)}
		}, fault: `spec.values.theme: Invalid value`},
		"an unknown plan":  {edit: func(_ *v1alpha1.Engine, s *v1alpha1.Store) { s.Spec.Plan = "none" }, wrong: `has no plan "none"`},
		"a chart not here": {edit: func(e *v1alpha1.Engine, _ *v1alpha1.Store) { e.Spec.Chart.Builtin = ptr.To("other") }, wrong: `built-in chart "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, s := testEngine(), testStore()
			tc.edit(e, s)
			objects, faults, err := newShops().Objects(t.Context(), e, s, false)
			switch {
			case objects != nil:
				t.Errorf("got %v", objects)
			case tc.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0].Error(), tc.fault)):
				t.Errorf("got faults %v, want %q", faults, tc.fault)
			case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
				t.Errorf("got error %v, want one with %q", err, tc.wrong)
			}
		})
	}
}

// A registry that does not answer keeps nobody waiting, and only those who ask for its
// charts.
func TestHangingRegistry(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	shops := newShops()
	for i := range 2 * places {
		e := testEngine()
		e.Spec.Chart = v1alpha1.ChartSource{Repository: &v1alpha1.ChartRepository{URL: server.URL, Name: fmt.Sprint("shop", i)}}
		e.Spec.Versions[0].ChartVersion = "1.0.0"
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, _, err := shops.Objects(ctx, e, testStore(), false); !errors.Is(err, errBusy) {
			t.Errorf("got error %v, want that it takes too long", err)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := shops.Objects(ctx, testEngine(), testStore(), false); err != nil {
		t.Errorf("another chart: %v", err)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places, stuck := make(chan struct{}, 1), make(chan struct{})
		do := func(f func() (int, error)) (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return within(ctx, places, f)
		}
		one := func() (int, error) { return 1, nil }
		if got, err := do(one); got != 1 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		if _, err := do(func() (int, error) { panic("of a template") }); err == nil || !strings.Contains(err.Error(), "of a template") {
			t.Errorf("a panic: %v", err)
		}
		if _, err := do(func() (int, error) { <-stuck; return 1, nil }); !errors.Is(err, errBusy) {
			t.Errorf("what does not end: %v", err)
		}
		if _, err := do(one); !errors.Is(err, errBusy) {
			t.Errorf("without a place: %v", err)
		}
		close(stuck)
		synctest.Wait()
		if got, err := do(one); got != 1 || err != nil {
			t.Errorf("when the place is free again: %d, %v", got, err)
		}
	})
}
