package argocd

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What engines are taken for, and stores in states that have to be made up.
func TestArgoCDHealthChecks(t *testing.T) {
	t.Parallel()
	checks, err := LoadHealthChecks(filepath.Join("..", "..", "..", "artifacts", "gitops", "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const store, engine = "{apiVersion: platform.dev/v1alpha1, kind: Store, metadata: {generation: 2}, spec: {}, status: ", "{apiVersion: platform.dev/v1alpha1, kind: Engine, metadata: {generation: 2}, status: "
	for name, test := range map[string]struct{ object, status, message string }{
		"a store without a status":        {store + "null}", "Progressing", "Waiting for the provisioner"},
		"a store of an older server":      {store + "{observedGeneration: 2}}", "Progressing", "Waiting for the provisioner"},
		"a store that is queued":          {store + "{observedGeneration: 1, conditions: [{type: Ready, status: 'True', message: R}, {type: Reconciling, status: 'True', message: Queued}]}}", "Progressing", "Queued"},
		"a store that failed before":      {store + "{observedGeneration: 1, conditions: [{type: Ready, status: 'True', message: R}, {type: Stalled, status: 'True', message: S}]}}", "Progressing", "Waiting"},
		"a store whose volumes grow":      {store + "{observedGeneration: 2, conditions: [{type: Ready, status: 'True', message: R}, {type: Reconciling, status: 'True', message: Growing}]}}", "Progressing", "Growing"},
		"a hibernated store that stalled": {store + "{observedGeneration: 2, conditions: [{type: Ready, status: 'False', reason: Hibernated, message: R}, {type: Stalled, status: 'True', message: Wake}]}}", "Degraded", "Wake"},
		"an engine without a rollout":     {engine + "null}", "Healthy", ""},
		"an engine that was changed":      {engine + "{observedGeneration: 1, rollout: {phase: Complete, message: M}}}", "Progressing", "M"},
		"a rollout under way":             {engine + "{observedGeneration: 2, rollout: {phase: Progressing, message: M}}}", "Progressing", "M"},
		"a rollout that is paused":        {engine + "{observedGeneration: 2, rollout: {phase: Paused, message: M}}}", "Suspended", "M"},
		"a rollout that is halted":        {engine + "{observedGeneration: 2, rollout: {phase: Halted, message: M}}}", "Degraded", "M"},
		"a rollout that is complete":      {engine + "{observedGeneration: 2, rollout: {phase: Complete}}}", "Healthy", ""},
	} {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			raw, err := yaml.YAMLToJSON([]byte(test.object))
			if err != nil {
				t.Fatal(err)
			}
			if err := object.UnmarshalJSON(raw); err != nil {
				t.Fatal(err)
			}
			got, err := checks.Health(object)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != test.status || !strings.HasPrefix(got.Message, test.message) {
				t.Errorf("got %+v, want %s and %q", got, test.status, test.message)
			}
		})
	}
}
