// Package controllers runs what the cluster has besides Kubernetes itself:
// volumes, network policies, the way in for HTTP, and the API server's address for
// pods.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"platform.dev/stores/hack/localcluster/internal/cluster"
	"platform.dev/stores/hack/localcluster/internal/forward"
	"platform.dev/stores/hack/localcluster/internal/network"
	"platform.dev/stores/hack/localcluster/internal/policy"
	"platform.dev/stores/hack/localcluster/internal/provisioner"
	"platform.dev/stores/hack/localcluster/internal/router"
)

// Run serves the cluster until ctx ends or a part fails.
func Run(ctx context.Context, config cluster.Config) error {
	restConfig, err := clientcmd.BuildConfigFromFlags("", config.ControllersKubeconfig())
	if err != nil {
		return err
	}
	restConfig.QPS, restConfig.Burst = 100, 200
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	events := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: provisioner.Name})

	factory := informers.NewSharedInformerFactory(client, 0)
	volumes, err := provisioner.New(client, factory, events, config.VolumesDir(), cluster.NodeName)
	if err != nil {
		return err
	}
	status, err := router.NewStatusWriter(client, factory, config.HTTPPort)
	if err != nil {
		return err
	}
	policies, err := policy.New(factory)
	if err != nil {
		return err
	}
	handler := router.New(factory)
	listeners, err := listenLoopback(ctx, config.HTTPPort)
	if err != nil {
		return err
	}
	api, err := net.Listen("tcp", net.JoinHostPort(network.NodeIP(config.Pods).String(), strconv.Itoa(config.APIPort)))
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	klog.FromContext(ctx).Info("Serving", "httpPort", config.HTTPPort, "apiServerForPods", api.Addr(), "volumes", config.VolumesDir())

	parts := []func(context.Context) error{
		volumes.Run,
		status.Run,
		policies.Run,
		func(ctx context.Context) error {
			return forward.Serve(ctx, api, net.JoinHostPort("127.0.0.1", strconv.Itoa(config.APIPort)))
		},
	}
	for _, listener := range listeners {
		parts = append(parts, func(ctx context.Context) error { return serve(ctx, listener, handler) })
	}
	return runAll(ctx, parts)
}

// runAll runs the parts until the first of them ends, and returns when all have.
func runAll(ctx context.Context, parts []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	errs := make([]error, len(parts))
	for i, part := range parts {
		running.Go(func() {
			defer cancel()
			errs[i] = part(ctx)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// listenLoopback listens on both loopback addresses, so that a name that means
// either is served. A host without IPv6 has only one.
func listenLoopback(ctx context.Context, port int) ([]net.Listener, error) {
	first, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	second, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		klog.FromContext(ctx).Info("Serving on IPv4 only", "err", err)
		return []net.Listener{first}, nil
	}
	return []net.Listener{first, second}, nil
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
