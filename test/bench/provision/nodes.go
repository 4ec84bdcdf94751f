package main

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
)

// nodeName is that of the one node. It takes all pods.
const nodeName = "simulated"

// startNode has pods scheduled to a node that kwok simulates: they become ready at once,
// and nothing runs.
func (c *cluster) startNode(ctx context.Context, scope *process.Scope, o *options) error {
	c.environment.StartScheduler(scope)
	kubeconfig := filepath.Join(c.environment.Folder(), "kwok.kubeconfig")
	if err := harness.WriteKubeconfig(kubeconfig, c.environment.User("kwok", "system:masters"), metav1.NamespaceDefault); err != nil {
		return err
	}
	arguments := []string{"--kubeconfig=" + kubeconfig, "--manage-all-nodes", "--cidr=10.0.0.0/8"}
	folder, err := moduleFolder(ctx, "kwok", "sigs.k8s.io/kwok")
	if err != nil {
		return err
	}
	for _, stage := range []string{"node/fast/node-initialize", "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"} {
		arguments = append(arguments, "--config="+filepath.Join(folder, "kustomize", "stage", stage+".yaml"))
	}
	kwok, err := process.Start("kwok", filepath.Join(c.environment.Logs(), "kwok.log"), filepath.Join(o.programs, "kwok"), arguments...)
	if err != nil {
		return err
	}
	scope.Cleanup(func() { kwok.Stop(0) })
	c.programs["kwok"] = kwok.PID()
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100k"), corev1.ResourceMemory: resource.MustParse("1Pi"), corev1.ResourcePods: resource.MustParse("100k"),
	}
	node, err := c.kube.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName},
		Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating the node: %w", err)
	}
	// New nodes are tainted until a controller that is not there finds them ready.
	if _, err := c.kube.CoreV1().Nodes().Patch(ctx, node.Name, "application/merge-patch+json", []byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("removing the node's taints: %w", err)
	}
	return kwok.WaitFor(ctx, func(ctx context.Context) error {
		node, err := c.kube.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("node %s is not ready", nodeName)
	})
}
