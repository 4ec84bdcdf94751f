package harness

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/process"
)

// Aggregated is another API server behind the cluster's, with an etcd of its own.
type Aggregated struct {
	// Group and Version are what it serves, and Program its path.
	Group, Version, Program string

	e       *Environment
	name    string // of its namespace, Service and ServiceAccount
	folder  string
	port    int
	etcd    *process.Process
	running *process.Process
}

// Start starts the server with all the rights of an administrator, and waits until the
// cluster forwards to it. It ends with the test.
func (a *Aggregated) Start(t testing.TB, e *Environment) error {
	a.e, a.name = e, filepath.Base(a.Program)
	a.folder = filepath.Join(e.folder, a.name)
	if err := os.MkdirAll(a.folder, 0o700); err != nil {
		return err
	}
	if err := a.StartStorage(t.Context()); err != nil {
		return err
	}
	t.Cleanup(func() { a.StopStorage() })
	var err error
	if a.port, err = process.FreePort(); err != nil {
		return err
	}
	core, err := kubernetes.NewForConfig(e.Admin())
	if err != nil {
		return err
	}
	if err := a.install(t.Context(), core); err != nil {
		return fmt.Errorf("installing %s: %w", a.name, err)
	}
	t.Cleanup(func() {
		if a.running != nil {
			a.running.Stop(stopGrace)
		}
	})
	return a.start(t.Context(), core)
}

// Restart kills the server and starts it again where it was. It returns when it answers.
func (a *Aggregated) Restart(ctx context.Context) error {
	core, err := kubernetes.NewForConfig(a.e.Admin())
	if err != nil {
		return err
	}
	a.running.Stop(0)
	return a.start(ctx, core)
}

func (a *Aggregated) start(ctx context.Context, core kubernetes.Interface) error {
	args, err := a.arguments(ctx, core)
	if err != nil {
		return err
	}
	if a.running, err = process.Start(a.name, a.Log(), a.Program, args...); err != nil {
		return err
	}
	return a.running.WaitFor(ctx, func(ctx context.Context) error {
		if err := answers(ctx, a.As(a.e.Admin()), "/readyz"); err != nil {
			return err
		}
		_, err := core.Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis/" + a.Group + "/" + a.Version).DoRaw(ctx)
		return err
	})
}

// StartStorage starts the server's etcd, with what it held before.
func (a *Aggregated) StartStorage(ctx context.Context) (err error) {
	a.etcd, err = startEtcd(ctx, a.folder, filepath.Join(a.e.logs, a.name+"-etcd.log"), a.e.binaries.etcd)
	return err
}

// StopStorage stops the server's etcd.
func (a *Aggregated) StopStorage() { a.etcd.Stop(stopGrace) }

// Storage is the endpoint of the server's etcd.
func (a *Aggregated) Storage() string { return etcdEndpoint(a.folder) }

// PID is the server's process.
func (a *Aggregated) PID() int { return a.running.PID() }

// Log is the path of the server's log.
func (a *Aggregated) Log() string { return filepath.Join(a.e.logs, a.name+".log") }

// install makes what a cluster has to know of the server.
func (a *Aggregated) install(ctx context.Context, core kubernetes.Interface) error {
	client, err := dynamic.NewForConfig(a.e.Admin())
	if err != nil {
		return err
	}
	_, err = core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.name}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if _, err := core.CoreV1().ServiceAccounts(a.name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: a.name}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := core.CoreV1().Services(a.name).Create(ctx, loopbackService(a.name), metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: a.name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: a.name, Name: a.name}},
	}
	if _, err := core.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return err
	}
	return apply(ctx, client, []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": a.Version + "." + a.Group},
		"spec": map[string]any{
			"group": a.Group, "version": a.Version, "groupPriorityMinimum": int64(1000), "versionPriority": int64(15), "insecureSkipTLSVerify": true,
			"service": map[string]any{"name": a.name, "namespace": a.name, "port": int64(a.port)},
		},
	}}})
}

// arguments are those that every server of the library takes.
func (a *Aggregated) arguments(ctx context.Context, core kubernetes.Interface) ([]string, error) {
	config, err := tokenOf(ctx, core, a.e.Admin(), a.name, a.name)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(a.folder, "kubeconfig")
	if err := WriteKubeconfig(kubeconfig, config, metav1.NamespaceDefault); err != nil {
		return nil, err
	}
	policy := filepath.Join(a.folder, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy(nil)), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--etcd-servers=" + a.Storage(), "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(a.port),
		"--cert-dir=" + filepath.Join(a.folder, "serving"), "--audit-policy-file=" + policy, "--audit-log-path=-",
	}, nil
}

// As returns how the holder of config's credentials reaches the server itself, past the
// cluster.
func (a *Aggregated) As(config *rest.Config) *rest.Config {
	direct := rest.CopyConfig(config)
	direct.Host = "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(a.port))
	direct.CAData, direct.Insecure = nil, true
	return direct
}

// dialTimeout bounds a look at whether etcd is there.
const dialTimeout = 5 * time.Second

// etcdEndpoint is where the etcd of a folder answers.
func etcdEndpoint(folder string) string { return "unix://" + filepath.Join(folder, "etcd.sock") }

// startEtcd runs an etcd that keeps its data in folder, and waits until it is there.
func startEtcd(ctx context.Context, folder, log, binary string) (*process.Process, error) {
	client, peer := etcdEndpoint(folder), "unix://"+filepath.Join(folder, "peer.sock")
	etcd, err := process.Start("etcd", log, binary,
		"--data-dir="+filepath.Join(folder, "etcd"), "--name=test", "--log-level=warn", "--unsafe-no-fsync",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer)
	if err != nil {
		return nil, err
	}
	return etcd, etcd.WaitFor(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", filepath.Join(folder, "etcd.sock"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
