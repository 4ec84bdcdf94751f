package harness

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/test/internal/process"
)

// controllers are those of the cluster's controllers that stores meet.
const controllers = "namespace-controller,deployment-controller,replicaset-controller,statefulset-controller,job-controller,resourcequota-controller,serviceaccount-controller,garbage-collector-controller"

// StartControllers runs the cluster's controllers from the first call to the end
// of the environment. There is no node and no scheduler: a Deployment without
// replicas is ready, and one with some never is. More arguments add to those of the
// first call.
func (e *Environment) StartControllers(t testing.TB, more ...string) {
	t.Helper()
	e.controllers.Do(func() { e.controllersErr = e.startControllers(context.WithoutCancel(t.Context()), more) })
	if e.controllersErr != nil {
		t.Fatal(e.controllersErr)
	}
}

func (e *Environment) startControllers(ctx context.Context, more []string) error {
	kubeconfig := filepath.Join(e.folder, "kube-controller-manager.kubeconfig")
	if err := WriteKubeconfig(kubeconfig, e.User("kube-controller-manager", "system:masters"), metav1.NamespaceDefault); err != nil {
		return err
	}
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	args := append([]string{
		"--kubeconfig=" + kubeconfig, "--controllers=" + controllers, "--leader-elect=false", "--profiling=false",
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port), "--cert-dir=" + filepath.Join(e.folder, "kube-controller-manager-serving"),
		"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-namespace-syncs=20",
	}, more...)
	manager, err := process.Start("kube-controller-manager", filepath.Join(e.logs, "kube-controller-manager.log"), e.binaries.kubeControllerManager, args...)
	if err != nil {
		return err
	}
	e.cluster.programs = append(e.cluster.programs, manager)
	return manager.WaitFor(ctx, func(ctx context.Context) error {
		return answers(ctx, &rest.Config{Host: fmt.Sprintf("https://127.0.0.1:%d", port), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, "/healthz")
	})
}
