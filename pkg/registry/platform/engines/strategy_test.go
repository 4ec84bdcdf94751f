package engines

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform"
)

func newEngine() *platform.Engine {
	return &platform.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "medusa", Generation: 4},
		Spec: platform.EngineSpec{
			DisplayName:    "MedusaJS",
			DefaultVersion: "2.0",
			Versions:       []platform.EngineVersion{{Name: "1.0"}, {Name: "2.0"}},
			Plans:          []platform.EnginePlan{{Name: "small"}, {Name: "large"}},
			ValuesSchema:   &runtime.RawExtension{Raw: []byte(`{"title":"a\u003cb"}`)},
		},
	}
}

func TestGeneration(t *testing.T) {
	t.Parallel()
	created := newEngine()
	strategy{}.PrepareForCreate(t.Context(), created)
	if created.Generation != 1 {
		t.Errorf("generation of a new engine is %d, want 1", created.Generation)
	}
	tests := []struct {
		name   string
		change func(*platform.Engine)
		want   int64
	}{
		{"nothing", func(*platform.Engine) {}, 4},
		{"label", func(e *platform.Engine) { e.Labels = map[string]string{"a": "b"} }, 4},
		{"values written otherwise", func(e *platform.Engine) { e.Spec.ValuesSchema.Raw = []byte(`{ "title": "a<b" }`) }, 4},
		{"offer", func(e *platform.Engine) { e.Spec.DefaultVersion = "1.0" }, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine()
			test.change(engine)
			strategy{}.PrepareForUpdate(t.Context(), engine, newEngine())
			if engine.Generation != test.want {
				t.Errorf("generation is %d, want %d", engine.Generation, test.want)
			}
		})
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	got := cells(newEngine())
	if diff := cmp.Diff([]any{"medusa", "MedusaJS", "2.0", "1.0,2.0", "small,large", "<unknown>"}, got); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	if len(got) != len(columns) {
		t.Errorf("%d cells for %d columns", len(got), len(columns))
	}
}
