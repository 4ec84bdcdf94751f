package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The cluster itself takes what the charts render, field by field, the Gateway
// API's kinds included. Kinds that it does not have are switched off: those are
// decoded by the charts' own tests.
func TestManifestsAreAccepted(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"production behind Ingresses": "certificate.mode=generated,metrics.serviceMonitor.enabled=false",
		"production behind a Gateway": "certificate.mode=generated,metrics.serviceMonitor.enabled=false," +
			"gateway.enabled=true,gateway.className=traefik,stores.route.type=gateway",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "bash", "-o", "errexit", "-o", "pipefail", "-c",
				`helm template platform charts/platform --namespace "$0" --kube-version 1.34.0 --values charts/platform/values-prod.yaml --set "$1" |
				kubectl apply --server-side --force-conflicts --dry-run=server --validate=strict --filename -`, platformNamespace, values)
			cmd.Dir = root
			cmd.Env = append(cmd.Environ(), "PATH="+filepath.Join(root, "_output/bin")+":/usr/bin:/bin")
			output, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if strings.Contains(values, "gateway") && !strings.Contains(string(output), "gateway.gateway.networking.k8s.io/platform serverside-applied") {
				t.Errorf("no Gateway was shown to the cluster:\n%s", output)
			}
		})
	}
}
