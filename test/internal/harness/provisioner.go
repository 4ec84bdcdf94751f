package harness

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/process"
)

// ProvisionerUser is who the provisioner is in the cluster.
const ProvisionerUser = "system:serviceaccount:" + systemNamespace + ":" + provisionerName

// Provisioner is a process of the platform's provisioner.
type Provisioner struct {
	*process.Process
	// URL is where its metrics are.
	URL string
}

// Provisioner returns how the provisioner reaches the cluster: with its
// ServiceAccount, and so with the rights that the chart gives it.
func (e *Environment) Provisioner(t testing.TB) (config *rest.Config, namespace, serviceAccount string) {
	t.Helper()
	config, err := e.serviceAccount(t.Context(), provisionerName)
	if err != nil {
		t.Fatal(err)
	}
	return config, systemNamespace, provisionerName
}

// StartProvisioner runs the provisioner as the chart's Deployment does, but for the
// engines, and waits until it has read all stores. It ends with the test. Variables
// have the form "name=value"; more arguments override those of the chart.
func (e *Environment) StartProvisioner(t testing.TB, variables []string, more ...string) *Provisioner {
	t.Helper()
	p, err := e.startProvisioner(t.Context(), variables, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(stopGrace) })
	return p
}

func (e *Environment) startProvisioner(ctx context.Context, variables, more []string) (*Provisioner, error) {
	binary := filepath.Join(e.logs, "provisioner")
	if err := build(ctx, e.root, binary, "./cmd/provisioner"); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(e.folder, "provisioner")
	if err != nil {
		return nil, err
	}
	config, err := e.serviceAccount(ctx, provisionerName)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := WriteKubeconfig(kubeconfig, config, metav1.NamespaceDefault); err != nil {
		return nil, err
	}
	args, err := arguments(e.objects, provisionerName, map[string]string{"tmp": folder, "engines": folder})
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	health, err := freeAddress()
	if err != nil {
		return nil, err
	}
	// In a pod these come from the pod's ServiceAccount and the downward API.
	args = append(args, "--kubeconfig="+kubeconfig, "--platform-namespace="+systemNamespace, "--service-account="+provisionerName,
		"--metrics-bind-address="+metrics, "--health-bind-address="+health)
	// env becomes the program that it is given.
	running, err := process.Start("provisioner", filepath.Join(e.logs, "provisioner.log"), "env",
		append(append(append(variables, "HOME="+folder), binary), append(args, more...)...)...)
	if err != nil {
		return nil, err
	}
	p := &Provisioner{Process: running, URL: "http://" + metrics}
	if err := p.WaitFor(ctx, func(ctx context.Context) error {
		return answers(ctx, &rest.Config{Host: "http://" + health}, "/readyz")
	}); err != nil {
		p.Stop(0)
		return nil, err
	}
	return p, nil
}

func freeAddress() (string, error) {
	port, err := process.FreePort()
	return "127.0.0.1:" + strconv.Itoa(port), err
}
