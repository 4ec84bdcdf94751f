package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"platform.dev/stores/test/internal/process"
)

// Domain is where stores without a host of their own answer.
const Domain = "shops.example.com"

// stopGrace is how long a program may take to end before it is killed.
const stopGrace = 10 * time.Second

// Environment is a cluster whose platform API is served by our server.
type Environment struct {
	root, folder, logs string
	binaries           *binaries
	cluster            *controlPlane
	serving            *authority
	objects            []*unstructured.Unstructured
	database           string
	port               int // of server
	server             *Server

	controllers    sync.Once
	controllersErr error
}

// Start starts a cluster with the platform's API server on the database dsn.
// What it started is stopped by Stop, also when Start fails. The audit log tells of
// every request of the audited users, besides those for the platform's objects.
func Start(ctx context.Context, dsn string, audited ...string) (*Environment, error) {
	e := &Environment{database: dsn}
	var err error
	if e.root, err = repository(); err != nil {
		return e, err
	}
	if e.logs, err = outputFolder(e.root); err != nil {
		return e, err
	}
	if err := os.MkdirAll(e.logs, 0o755); err != nil {
		return e, err
	}
	if e.folder, err = os.MkdirTemp("", "integration"); err != nil {
		return e, err
	}
	if e.binaries, err = findBinaries(ctx, e.root, e.folder, e.logs); err != nil {
		return e, err
	}
	if e.serving, err = newAuthority("platform-serving"); err != nil {
		return e, err
	}
	if e.cluster, err = startControlPlane(ctx, e.folder, e.logs, e.binaries, audited); err != nil {
		return e, err
	}
	if err := e.install(ctx); err != nil {
		return e, fmt.Errorf("installing the platform: %w", err)
	}
	return e, nil
}

// Stop ends every program, ours first, and removes all files but the logs.
func (e *Environment) Stop() {
	if e.server != nil {
		e.server.Kill()
	}
	if e.cluster != nil {
		for i := range e.cluster.programs {
			e.cluster.programs[len(e.cluster.programs)-1-i].Stop(stopGrace)
		}
	}
	_ = os.RemoveAll(e.folder) // the system cleans up what is left
}

// install puts the chart's objects into the cluster, starts the API server and
// waits until the cluster forwards to it.
func (e *Environment) install(ctx context.Context) error {
	admin := e.Admin()
	core, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(admin)
	if err != nil {
		return err
	}
	if e.objects, err = render(e.root, e.serving); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}}
	if _, err := core.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace %s: %w", systemNamespace, err)
	}
	if e.port, err = process.FreePort(); err != nil {
		return err
	}
	if err := e.route(ctx, core, e.port); err != nil {
		return err
	}
	if err := apply(ctx, client, e.objects); err != nil {
		return err
	}
	if e.server, err = e.startServer(ctx, "apiserver", e.database, e.port); err != nil {
		return err
	}
	return e.server.WaitFor(ctx, func(ctx context.Context) error {
		// The document of the group is what the cluster learns last.
		_, err := core.Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis/platform.dev/v1alpha1").DoRaw(ctx)
		return err
	})
}

// route makes the chart's APIService lead to port of this machine.
func (e *Environment) route(ctx context.Context, core kubernetes.Interface, port int) error {
	if _, err := core.CoreV1().Services(systemNamespace).Create(ctx, loopbackService(serviceName), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating service %s: %w", serviceName, err)
	}
	for _, object := range e.objects {
		if object.GetKind() == "APIService" {
			return unstructured.SetNestedField(object.Object, int64(port), "spec", "service", "port")
		}
	}
	return errors.New("the platform chart has no APIService")
}

// Server is the server that the cluster forwards to.
func (e *Environment) Server() *Server { return e.server }

// Database is the connection string that the server was given.
func (e *Environment) Database() string { return e.database }

// writeIdentity writes a kubeconfig of the API server's ServiceAccount.
func (e *Environment) writeIdentity(ctx context.Context, path string) error {
	config, err := e.serviceAccount(ctx, serviceName)
	if err != nil {
		return err
	}
	return WriteKubeconfig(path, config, metav1.NamespaceDefault)
}

// serviceAccount returns how one of the chart's ServiceAccounts reaches the
// cluster.
func (e *Environment) serviceAccount(ctx context.Context, name string) (*rest.Config, error) {
	core, err := kubernetes.NewForConfig(e.Admin())
	if err != nil {
		return nil, err
	}
	return tokenOf(ctx, core, e.Admin(), systemNamespace, name)
}

// tokenOf returns how a ServiceAccount reaches the cluster that admin does.
func tokenOf(ctx context.Context, core kubernetes.Interface, admin *rest.Config, namespace, name string) (*rest.Config, error) {
	token, err := core.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking for a token of %s: %w", name, err)
	}
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = token.Status.Token
	return config, nil
}

// loopbackService leads to this machine.
func loopbackService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "127.0.0.1"},
	}
}

// Admin returns how a cluster administrator reaches the cluster.
func (e *Environment) Admin() *rest.Config {
	return e.User("admin", "system:masters")
}

// User returns how a user with these groups reaches the cluster.
func (e *Environment) User(name string, groups ...string) *rest.Config {
	config, err := e.cluster.user(name, groups...)
	if err != nil {
		// Only a broken random source makes signing fail.
		panic(err)
	}
	return config
}

// Anonymous returns how somebody without credentials reaches the cluster.
func (e *Environment) Anonymous() *rest.Config {
	return rest.AnonymousClientConfig(e.Admin())
}

// Kubectl is the path of the kubectl program.
func (e *Environment) Kubectl() string { return e.binaries.kubectl }

// BuildPlugin builds the kubectl plugin and returns the folder that it is in,
// which goes with the environment.
func (e *Environment) BuildPlugin(ctx context.Context) (string, error) {
	folder := filepath.Join(e.folder, "plugin")
	return folder, build(ctx, e.root, filepath.Join(folder, "kubectl-store"), "./cmd/kubectl-store")
}

// BuildKrew builds the plugin manager krew, which stays for the next run, and returns
// its path.
func (e *Environment) BuildKrew(ctx context.Context) (string, error) {
	program := filepath.Join(e.root, "_output", "bin", "krew")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, build(ctx, filepath.Join(e.root, "hack", "krew"), program, "sigs.k8s.io/krew/cmd/krew", "GOWORK=off")
}

// Repository is the folder of the source.
func (e *Environment) Repository() string { return e.root }

// Programs are the processes of the cluster and of the platform's API server, by name.
func (e *Environment) Programs() map[string]int {
	programs := map[string]int{"apiserver": e.server.PID()}
	for _, p := range e.cluster.programs {
		programs[p.Name()] = p.PID()
	}
	return programs
}

// Folder holds the files of the environment and goes with it.
func (e *Environment) Folder() string { return e.folder }

// Logs is the folder of the logs of all programs, which stays.
func (e *Environment) Logs() string { return e.logs }

// AuditLog is the path of the kube-apiserver's audit log.
func (e *Environment) AuditLog() string { return e.cluster.auditLog }

// WriteKubeconfig stores config for kubectl, with a default namespace.
func WriteKubeconfig(path string, config *rest.Config, namespace string) error {
	const name = "test"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: name,
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name, Namespace: namespace}},
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			Token: config.BearerToken, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
		}},
	}, path)
}
