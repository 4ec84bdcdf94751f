// Package provisioning proves the provisioner on a real kube-apiserver with the
// cluster's own controllers, our API server and Helm, but no node: what a shop's
// pods do is tested in test/e2e.
//
// The provisioner works on all stores of a cluster, so these tests run one after
// the other and each leaves none.
package provisioning

import (
	"context"
	"fmt"
	"os"
	"testing"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
)

var env *harness.Environment

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	shared := &process.Scope{}
	defer shared.End()
	database := postgrestest.StartServer(shared, "fsync=off", "full_page_writes=off")
	var err error
	env, err = harness.Start(context.Background(), database.DSN())
	defer env.Stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
