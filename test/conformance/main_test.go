package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
	"platform.dev/stores/test/internal/tiny"
)

var (
	kubeconfig  = flag.String("kubeconfig", "", "kubeconfig of an administrator of the cluster whose server to check; without it the platform's own is checked")
	description = flag.String("description", "", "file that describes the resource to check")
	kubectl     = flag.String("kubectl", "kubectl", "the program kubectl")
	direct      = flag.String("server", "", "URL of the server itself, past the cluster, which accepts the same credentials")
	dump        = flag.String("dump", "", "command that prints all that the server stores")
	forget      = flag.String("forget", "", "command that makes the server forget all revisions but the last, by a compaction and a restart")
	stop        = flag.String("stop-storage", "", "command that stops what the server stores its objects in")
	start       = flag.String("start-storage", "", "command that starts it again")
	auditLog    = flag.String("audit-log", "", "file of the server's audit log")
)

// table is where the results go too.
var table = flag.String("table", "", "file to write the table of results to")

// servers are what is checked. What the first one lacks fails the tests.
var servers []*Server

func TestMain(m *testing.M) {
	flag.Parse()
	scope := &process.Scope{}
	code := 1
	err := setUp(scope)
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	scope.End()
	os.Exit(code)
}

func setUp(scope *process.Scope) error {
	cache, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	scope.Cleanup(func() { _ = os.RemoveAll(cache) })
	if *kubeconfig != "" {
		err = useFlags()
	} else {
		err = startAll(scope, cache)
	}
	if err != nil {
		return err
	}
	for _, s := range servers {
		s.Cache = cache
		if err := s.prepare(scope.Context()); err != nil {
			return err
		}
	}
	return nil
}

// useFlags checks the server that the flags lead to.
func useFlags() error {
	described, err := Load(*description, nil)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	program, err := exec.LookPath(*kubectl)
	if err != nil {
		return err
	}
	s := &Server{
		Description: described, Admin: config, Kubeconfig: *kubeconfig, Kubectl: program,
		Dump: command(*dump), Forget: silent(*forget), Stop: silent(*stop), Start: silent(*start), AuditLog: fileReader(*auditLog),
	}
	if *direct != "" {
		s.Direct = rest.CopyConfig(config)
		s.Direct.Host, s.Direct.CAData, s.Direct.CAFile, s.Direct.Insecure = *direct, nil, "", true
	}
	servers = []*Server{s}
	return nil
}

// startAll starts a cluster with the platform, and with the sample of an aggregated
// server beside it.
func startAll(scope *process.Scope, folder string) error {
	database := postgrestest.StartServer(scope, "fsync=off", "full_page_writes=off")
	env, err := harness.Start(scope.Context(), database.DSN())
	scope.Cleanup(env.Stop)
	if err != nil {
		return err
	}
	env.StartControllers(scope)
	admin := env.Admin()
	admin.WarningHandler = rest.NoWarnings{}
	file := filepath.Join(folder, "kubeconfig")
	if err := harness.WriteKubeconfig(file, admin, metav1.NamespaceDefault); err != nil {
		return err
	}
	ours, err1 := stores(scope, env, database, folder)
	sample, err2 := flunders(scope, env)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	servers = []*Server{ours, sample}
	for _, s := range servers {
		s.Admin, s.Kubeconfig, s.Kubectl, s.Keep = admin, file, env.Kubectl(), true
	}
	return nil
}

// stores is the platform's API server, with a provisioner.
func stores(scope *process.Scope, env *harness.Environment, database *postgrestest.Server, folder string) (*Server, error) {
	charts, err := tiny.Serve(scope, folder)
	if err != nil {
		return nil, err
	}
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	scope.Cleanup(shop.Close)
	env.StartProvisioner(scope, nil, "--storefront-address="+shop.Listener.Addr().String())
	described, err := Load("testdata/stores.yaml", map[string]string{"REPOSITORY": charts})
	if err != nil {
		return nil, err
	}
	return &Server{
		Description: described,
		Direct:      env.Server().As(env.Admin()),
		Dump:        func(ctx context.Context) ([]byte, error) { return dumpPostgres(ctx, database.DSN()) },
		Forget: func(ctx context.Context) error {
			return errors.Join(compactPostgres(ctx, database.DSN()), env.RestartServer(ctx))
		},
		Stop:     func(context.Context) error { database.Stop(); return nil },
		Start:    func(context.Context) error { return database.Start() },
		AuditLog: func() ([]byte, error) { return env.Server().Log() },
	}, nil
}

// flunders is kubernetes' sample of an aggregated server.
func flunders(scope *process.Scope, env *harness.Environment) (*Server, error) {
	described, err := Load("testdata/flunders.yaml", nil)
	if err != nil {
		return nil, err
	}
	program, err := filepath.Abs("../../_output/bin/sample-apiserver")
	if err != nil {
		return nil, err
	}
	a := &harness.Aggregated{Group: described.Group, Version: described.Version, Program: program}
	if err := a.Start(scope, env); err != nil {
		return nil, err
	}
	return &Server{
		Description: described,
		Direct:      a.As(env.Admin()),
		Dump:        func(ctx context.Context) ([]byte, error) { return dumpEtcd(ctx, a.Storage()) },
		Forget: func(ctx context.Context) error {
			return errors.Join(compactEtcd(ctx, a.Storage()), a.Restart(ctx))
		},
		Stop:     func(context.Context) error { a.StopStorage(); return nil },
		Start:    a.StartStorage,
		AuditLog: fileReader(a.Log()),
	}, nil
}
