package provisioning

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/tiny"
)

// tinyEngine makes an engine of the tiny chart.
func tinyEngine(t testing.TB, deadlineSeconds int32) *v1alpha1.Engine {
	t.Helper()
	engine, err := harness.Platform(t, env.Admin()).Engines().Create(t.Context(), tiny.Engine("tiny-"+rand.String(8), deadlineSeconds), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}
