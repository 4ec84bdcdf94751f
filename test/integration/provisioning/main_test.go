// Package provisioning proves the provisioner on a real kube-apiserver with the
// cluster's own controllers, our API server and Helm, but no node: what a shop's
// pods do is tested in test/e2e.
//
// The provisioner works on all stores of a cluster, so these tests run one after
// the other and each leaves none.
package provisioning

import (
	"os"
	"testing"

	"platform.dev/stores/test/internal/harness"
)

var env *harness.Environment

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &env)) }
