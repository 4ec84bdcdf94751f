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

// The status is the provisioner's alone, and all that it writes there.
func TestStatus(t *testing.T) {
	t.Parallel()
	rolled := newEngine()
	rolled.Status.Rollout = &platform.RolloutStatus{Version: "2.0", Phase: platform.RolloutComplete}

	created := rolled.DeepCopy()
	strategy{}.PrepareForCreate(t.Context(), created)
	if created.Status.Rollout != nil {
		t.Error("a new engine has the status that its creator wrote")
	}
	updated := newEngine()
	updated.Spec.DefaultVersion = "1.0"
	strategy{}.PrepareForUpdate(t.Context(), updated, rolled)
	if updated.Status.Rollout == nil {
		t.Error("an update has taken the status away")
	}
	status := rolled.DeepCopy()
	status.Spec.DefaultVersion, status.Labels = "1.0", map[string]string{"a": "b"}
	statusStrategy{}.PrepareForUpdate(t.Context(), status, newEngine())
	if status.Status.Rollout == nil || status.Spec.DefaultVersion != "2.0" || status.Labels != nil {
		t.Errorf("writing the status made %+v", status)
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	got := cells(newEngine())
	if diff := cmp.Diff([]any{"medusa", "MedusaJS", "2.0", "1.0,2.0", "small,large", "<none>", "<unknown>"}, got); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	engine := newEngine()
	engine.Status.Rollout = &platform.RolloutStatus{Phase: platform.RolloutHalted, Updated: 3, Total: 12}
	if got := cells(engine)[5]; got != "Halted 3/12" {
		t.Errorf("the rollout is shown as %q", got)
	}
	if len(got) != len(columns) {
		t.Errorf("%d cells for %d columns", len(got), len(columns))
	}
}
