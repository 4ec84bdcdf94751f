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
// of the environment. There is no node: a Deployment without
// replicas is ready, and one with some never is. More arguments add to those of the
// first call.
func (e *Environment) StartControllers(t testing.TB, more ...string) {
	t.Helper()
	e.controllers.Do(func() { e.controllersErr = e.startControllers(context.WithoutCancel(t.Context()), more) })
	if e.controllersErr != nil {
		t.Fatal(e.controllersErr)
	}
}

// StartScheduler runs the cluster's scheduler until the test ends.
func (e *Environment) StartScheduler(t testing.TB) {
	t.Helper()
	scheduler, err := e.startScheduler(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { scheduler.Stop(stopGrace) })
}

func (e *Environment) startScheduler(ctx context.Context) (*process.Process, error) {
	arguments, ready, err := e.component("kube-scheduler")
	if err != nil {
		return nil, err
	}
	scheduler, err := process.Start("kube-scheduler", filepath.Join(e.logs, "kube-scheduler.log"), e.binaries.kubeScheduler, arguments...)
	if err != nil {
		return nil, err
	}
	return scheduler, scheduler.WaitFor(ctx, ready)
}

// component returns the arguments that a component of the cluster needs to run alone and
// in a hurry, and what tells that it is ready.
func (e *Environment) component(name string) (arguments []string, ready func(context.Context) error, err error) {
	kubeconfig := filepath.Join(e.folder, name+".kubeconfig")
	if err := WriteKubeconfig(kubeconfig, e.User(name, "system:masters"), metav1.NamespaceDefault); err != nil {
		return nil, nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, nil, err
	}
	arguments = []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--profiling=false", "--kube-api-qps=500", "--kube-api-burst=1000",
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port), "--cert-dir=" + filepath.Join(e.folder, name+"-serving"),
	}
	return arguments, func(ctx context.Context) error {
		return answers(ctx, &rest.Config{Host: fmt.Sprintf("https://127.0.0.1:%d", port), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, "/healthz")
	}, nil
}

func (e *Environment) startControllers(ctx context.Context, more []string) error {
	arguments, ready, err := e.component("kube-controller-manager")
	if err != nil {
		return err
	}
	arguments = append(append(arguments, "--controllers="+controllers, "--concurrent-namespace-syncs=20"), more...)
	manager, err := process.Start("kube-controller-manager", filepath.Join(e.logs, "kube-controller-manager.log"), e.binaries.kubeControllerManager, arguments...)
	if err != nil {
		return err
	}
	e.cluster.programs = append(e.cluster.programs, manager)
	return manager.WaitFor(ctx, ready)
}
