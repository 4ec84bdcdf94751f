package harness

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/process"
)

// auditPolicy records who did what, as a careful cluster does, and all that the users
// do.
func auditPolicy(users []string) string {
	policy := `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: platform.dev}]
`
	for _, user := range users {
		policy += fmt.Sprintf("- {level: Metadata, users: [%q]}\n", user)
	}
	return policy + "- level: None\n"
}

// controlPlane is etcd and a kube-apiserver.
type controlPlane struct {
	folder     string
	auditLog   string
	url        string
	serving    *authority
	clients    *authority
	frontProxy *authority
	logs       string
	binary     string           // of the kube-apiserver,
	port       int              // where it listens,
	server     *process.Process // and its process, which is among the programs
	programs   []*process.Process
}

// startControlPlane starts etcd and a kube-apiserver and waits for both. What
// it started is in the result even when it fails.
func startControlPlane(ctx context.Context, folder, logs string, b *binaries, audited []string) (*controlPlane, error) {
	c := &controlPlane{folder: folder, auditLog: filepath.Join(folder, "audit.log"), logs: logs, binary: b.kubeAPIServer}
	for name, a := range map[string]**authority{"serving": &c.serving, "clients": &c.clients, "front-proxy": &c.frontProxy} {
		var err error
		if *a, err = newAuthority(name); err != nil {
			return c, err
		}
		if err := os.WriteFile(c.path(name+"-ca.crt"), (*a).pem, 0o600); err != nil {
			return c, err
		}
	}
	if err := c.startEtcd(ctx, logs, b.etcd); err != nil {
		return c, err
	}
	if err := c.prepareKubeAPIServer(audited); err != nil {
		return c, err
	}
	return c, c.startKubeAPIServer(ctx)
}

func (c *controlPlane) path(name string) string { return filepath.Join(c.folder, name) }

func (c *controlPlane) startEtcd(ctx context.Context, logs, binary string) error {
	etcd, err := startEtcd(ctx, c.folder, filepath.Join(logs, "etcd.log"), binary)
	if etcd != nil {
		c.programs = append(c.programs, etcd)
	}
	return err
}

// prepareKubeAPIServer writes its files and finds it a port.
func (c *controlPlane) prepareKubeAPIServer(audited []string) error {
	serving, err := c.serving.server("kube-apiserver")
	if err != nil {
		return err
	}
	proxy, err := c.frontProxy.client("front-proxy-client")
	if err != nil {
		return err
	}
	for name, p := range map[string]pair{"serving": serving, "front-proxy": proxy} {
		if err := p.write(c.folder, name); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.path("audit-policy.yaml"), []byte(auditPolicy(audited)), 0o600); err != nil {
		return err
	}
	if c.port, err = process.FreePort(); err != nil {
		return err
	}
	c.url = "https://127.0.0.1:" + strconv.Itoa(c.port)
	return nil
}

func (c *controlPlane) startKubeAPIServer(ctx context.Context) error {
	server, err := process.Start("kube-apiserver", filepath.Join(c.logs, "kube-apiserver.log"), c.binary,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(c.port), "--endpoint-reconciler-type=none",
		"--etcd-servers="+etcdEndpoint(c.folder), "--service-cluster-ip-range=10.0.0.0/16",
		"--tls-cert-file="+c.path("serving.crt"), "--tls-private-key-file="+c.path("serving.key"),
		"--client-ca-file="+c.path("clients-ca.crt"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("serving.key"), "--service-account-signing-key-file="+c.path("serving.key"),
		"--requestheader-client-ca-file="+c.path("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-uid-headers=X-Remote-Uid",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+c.path("front-proxy.crt"), "--proxy-client-key-file="+c.path("front-proxy.key"),
		"--audit-policy-file="+c.path("audit-policy.yaml"), "--audit-log-path="+c.auditLog, "--audit-log-maxsize=100000",
		"--profiling=false")
	if err != nil {
		return err
	}
	c.programs = append(slices.DeleteFunc(c.programs, func(p *process.Process) bool { return p == c.server }), server)
	c.server = server
	return server.WaitFor(ctx, func(ctx context.Context) error {
		return answers(ctx, &rest.Config{Host: c.url, TLSClientConfig: rest.TLSClientConfig{CAData: c.serving.pem}}, "/readyz")
	})
}

// user returns how a user with a certificate of the cluster reaches it.
func (c *controlPlane) user(name string, groups ...string) (*rest.Config, error) {
	p, err := c.clients.client(name, groups...)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: c.url,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: c.serving.pem, CertData: p.certificate, KeyData: p.key,
		},
		// Tests ask a lot and are not to be slowed down by their own client.
		QPS: -1,
	}, nil
}

// answers makes one request and fails unless it succeeds.
func answers(ctx context.Context, config *rest.Config, path string) error {
	client, err := NewClient(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	status, _, err := client.Send(ctx, http.MethodGet, path, http.Header{}, "")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s answers %d %s", path, status, http.StatusText(status))
	}
	return nil
}
