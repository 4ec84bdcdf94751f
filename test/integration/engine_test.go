package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// What an engine asks for and how far it is are written apart, and each as it was sent.
func TestEngineRollout(t *testing.T) {
	t.Parallel()
	engines, name := harness.Platform(t, env.Admin()).Engines(), newEngine(t).Name
	engine, err := engines.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rollout := &v1alpha1.EngineRollout{
		Waves:        []intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("25%")},
		PauseSeconds: ptr.To[int32](0), MaxFailures: ptr.To(intstr.FromString("0%")),
	}
	engine.Spec.Rollout = rollout.DeepCopy()
	engine.Status.Rollout = &v1alpha1.RolloutStatus{Version: "9.9", Phase: v1alpha1.RolloutComplete}
	engine, err = engines.Update(t.Context(), engine, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rollout, engine.Spec.Rollout); diff != "" || engine.Status.Rollout != nil {
		t.Errorf("status %+v, rollout (-want +got):\n%s", engine.Status, diff)
	}

	status := engine.DeepCopy()
	status.Spec.Rollout, status.Status.Rollout = nil, &v1alpha1.RolloutStatus{Version: "2.0", Phase: v1alpha1.RolloutHalted, Message: "see"}
	written, err := engines.UpdateStatus(t.Context(), status, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(status.Status, written.Status); diff != "" || written.Spec.Rollout == nil || written.Generation != engine.Generation {
		t.Errorf("generation %d, rollout %+v, status (-want +got):\n%s", written.Generation, written.Spec.Rollout, diff)
	}
	status.ResourceVersion, status.Status.Rollout.Phase = "", "Elsewhere"
	if _, err := engines.UpdateStatus(t.Context(), status, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a phase that there is not: %v", err)
	}

	written.Spec.Rollout.Waves[0] = intstr.FromString("5")
	_, err = engines.Update(t.Context(), written, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.rollout.waves[0]") || !strings.Contains(err.Error(), "a number of stores from 1 on, or a percentage") {
		t.Errorf("a number in quotes: %v", err)
	}
}
