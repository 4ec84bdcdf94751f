package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"platform.dev/stores/hack/localcluster/internal/network"
)

// probeTimeout bounds one question for health.
const probeTimeout = 3 * time.Second

// dialable is healthy when something listens at the address.
func dialable(kind, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		dialer := net.Dialer{Timeout: probeTimeout}
		connection, err := dialer.DialContext(ctx, kind, address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// answers is healthy when a GET of url, verified against the cluster's
// authority, is answered with 200.
func (c Config) answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		roots := x509.NewCertPool()
		authority, err := os.ReadFile(c.pki("ca.crt"))
		if err != nil {
			return err
		}
		roots.AppendCertsFromPEM(authority)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := (&http.Client{Transport: transport, Timeout: probeTimeout}).Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 2000))
			return fmt.Errorf("%s answered %s: %s", url, response.Status, body)
		}
		return nil
	}
}

// nodeReady is healthy when the node takes pods.
func (c Config) nodeReady(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		} else if condition.Type == corev1.NodeReady {
			return fmt.Errorf("node is not ready: %s", condition.Message)
		}
	}
	return errors.New("node has not said whether it is ready")
}

// dnsServes is healthy when the cluster's name server, asked like pods ask it,
// knows the API server.
func (c Config) dnsServes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, kind, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, kind, net.JoinHostPort(c.dnsIP().String(), "53"))
	}}
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	if err != nil {
		return err
	}
	if want := network.ServiceIP(c.Services, 1).String(); len(addresses) != 1 || addresses[0] != want {
		return fmt.Errorf("the API server's name has addresses %v, want %s", addresses, want)
	}
	return nil
}

func (c Config) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = probeTimeout
	return kubernetes.NewForConfig(config)
}

// Health is the state of one part of the cluster.
type Health struct {
	// Name of the part.
	Name string
	// PID of its process, or 0 when it has none.
	PID int
	// Err is nil when the part is healthy.
	Err error
}

// Status asks every part of a started cluster for its health.
func Status(ctx context.Context, output string) ([]Health, error) {
	current, err := loadState(output)
	if err != nil {
		return nil, err
	}
	group, err := current.group()
	if err != nil {
		return nil, err
	}
	keeper := current.keeper(group)
	var parts []Health
	for _, component := range current.components() {
		pid, alive := keeper.Alive(component.Name)
		part := Health{Name: component.Name, PID: pid}
		if !alive {
			part.PID, part.Err = 0, fmt.Errorf("not running, see %s", keeper.LogFile(component.Name))
		} else {
			part.Err = component.healthy(ctx)
		}
		parts = append(parts, part)
	}
	return append(parts, Health{Name: "node", Err: current.nodeReady(ctx)}, Health{Name: "dns", Err: current.dnsServes(ctx)}), nil
}
