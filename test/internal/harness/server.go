package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/process"
)

// Server is a process of the platform's API server.
type Server struct {
	*process.Process
	url, name string
	ca        []byte
}

// StartServer starts one more server on the database dsn, which the cluster
// does not forward to: it is reached directly. It ends with the test. More
// arguments override those of the chart.
func (e *Environment) StartServer(t testing.TB, dsn string, more ...string) *Server {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("apiserver-%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), port)
	server, err := e.startServer(t.Context(), name, dsn, port, more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	return server
}

// startServer runs the API server as the chart's Deployment does, and waits
// until it is ready.
func (e *Environment) startServer(ctx context.Context, name, dsn string, port int, more ...string) (*Server, error) {
	args, err := e.serverFiles(ctx, name, dsn)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", name, err)
	}
	args = append(args, "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(port))
	args = append(args, more...)
	running, err := process.Start(name, filepath.Join(e.logs, name+".log"), e.binaries.apiServer, args...)
	if err != nil {
		return nil, err
	}
	server := &Server{
		Process: running,
		url:     "https://127.0.0.1:" + strconv.Itoa(port),
		name:    serviceName + "." + systemNamespace + ".svc",
		ca:      e.serving.pem,
	}
	// Client certificates are no part of readiness: in a cluster none are used here.
	if err := server.WaitFor(ctx, func(ctx context.Context) error {
		if err := answers(ctx, server.As(&rest.Config{}), "/readyz"); err != nil {
			return err
		}
		return answers(ctx, server.As(e.Admin()), "/version")
	}); err != nil {
		server.Kill()
		return nil, err
	}
	return server, nil
}

// serverFiles writes what the Deployment mounts and returns its arguments.
func (e *Environment) serverFiles(ctx context.Context, name, dsn string) ([]string, error) {
	volumes := map[string]string{}
	for _, volume := range []string{"certificate", "database", "audit"} {
		volumes[volume] = filepath.Join(e.folder, name, volume)
		if err := os.MkdirAll(volumes[volume], 0o700); err != nil {
			return nil, err
		}
	}
	certificate, err := e.serving.server(serviceName + "." + systemNamespace + ".svc")
	if err != nil {
		return nil, err
	}
	if err := certificate.write(volumes["certificate"], "tls"); err != nil {
		return nil, err
	}
	policy, err := auditPolicyOf(e.objects)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(volumes["audit"], "policy.yaml"), []byte(policy), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(volumes["database"], "dsn"), []byte(dsn+"\n"), 0o600); err != nil {
		return nil, err
	}
	args, err := arguments(e.objects, serviceName, volumes)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(e.folder, name, "kubeconfig")
	if err := e.writeIdentity(ctx, kubeconfig); err != nil {
		return nil, err
	}
	// In a pod these come from the pod's ServiceAccount.
	return append(args, "--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig), nil
}

// As returns how the holder of config's credentials reaches this server itself,
// past the cluster.
func (s *Server) As(config *rest.Config) *rest.Config {
	direct := rest.CopyConfig(config)
	direct.Host = s.url
	direct.CAData = s.ca
	direct.ServerName = s.name
	return direct
}

// address is where the server listens.
func (s *Server) address() string { return strings.TrimPrefix(s.url, "https://") }

// Terminate asks the server to shut down and returns at once.
func (s *Server) Terminate() { s.Signal(syscall.SIGTERM) }

// Kill ends the server at once.
func (s *Server) Kill() { s.Stop(0) }
