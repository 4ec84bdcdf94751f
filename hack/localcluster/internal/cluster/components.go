package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"platform.dev/stores/hack/localcluster/internal/network"
	"platform.dev/stores/hack/localcluster/internal/process"
)

// component is one program of the cluster with the way to ask it for its health.
type component struct {
	process.Program
	healthy func(context.Context) error
}

// components in the order in which they start.
func (c Config) components() []component {
	return []component{c.containerd(), c.etcd(), c.apiServer(), c.controllerManager(), c.scheduler(), c.controllers(), c.kubelet(), c.proxy()}
}

func (c Config) containerd() component {
	return component{
		process.Program{Name: "containerd", Path: "containerd", Args: []string{"--config", c.path("config", "containerd.toml")}},
		dialable("unix", containerdSocket),
	}
}

func (c Config) etcd() component {
	const client, peer = "unix://" + RunDir + "/etcd.sock", "unix://" + RunDir + "/etcd-peer.sock"
	// It listens on sockets in a folder of root's, so nobody else can get past
	// the API server, and no port is taken.
	return component{
		process.Program{Name: "etcd", Path: filepath.Join(c.Bin, "etcd"), Args: []string{
			"--data-dir=" + c.path("etcd"), "--name=localcluster", "--log-level=warn",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=localcluster=" + peer,
			"--unsafe-no-fsync", // The data does not outlive a stop, let alone a power cut.
		}},
		dialable("unix", RunDir+"/etcd.sock"),
	}
}

func (c Config) apiServer() component {
	return component{
		process.Program{Name: "kube-apiserver", Path: filepath.Join(c.Bin, "kube-apiserver"), Args: []string{
			// It is reached by the host on 127.0.0.1 and by pods on the node's
			// address, where the cluster's controllers forward to it.
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.APIPort), "--advertise-address=" + network.NodeIP(c.Pods).String(),
			"--etcd-servers=unix://" + RunDir + "/etcd.sock",
			"--service-cluster-ip-range=" + c.Services.String(),
			"--tls-cert-file=" + c.pki("kube-apiserver.crt"), "--tls-private-key-file=" + c.pki("kube-apiserver.key"),
			"--client-ca-file=" + c.pki("ca.crt"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--kubelet-client-certificate=" + c.pki("kubelet-client.crt"), "--kubelet-client-key=" + c.pki("kubelet-client.key"),
			"--kubelet-certificate-authority=" + c.pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + c.pki("service-accounts.key"), "--service-account-signing-key-file=" + c.pki("service-accounts.key"),
			"--requestheader-client-ca-file=" + c.pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-uid-headers=X-Remote-Uid",
			"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + c.pki("front-proxy-client.crt"), "--proxy-client-key-file=" + c.pki("front-proxy-client.key"),
			// Requests for aggregated APIs go to the endpoints themselves: they
			// spread over replicas and never wait for kube-proxy to catch up.
			"--enable-aggregator-routing=true",
			"--audit-policy-file=" + c.path("config", "audit-policy.yaml"), "--audit-log-path=" + c.AuditLog(),
			"--audit-log-maxsize=100", "--audit-log-maxbackup=1",
			"--profiling=false",
		}},
		c.answers(fmt.Sprintf("%s/readyz", c.serverURL())),
	}
}

func (c Config) controllerManager() component {
	kubeconfig := c.kubeconfigOf("kube-controller-manager")
	return component{
		process.Program{Name: "kube-controller-manager", Path: filepath.Join(c.Bin, "kube-controller-manager"), Args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			"--tls-cert-file=" + c.pki("kube-controller-manager.crt"), "--tls-private-key-file=" + c.pki("kube-controller-manager.key"),
			"--leader-elect=false", "--use-service-account-credentials=true",
			// Each controller fetches a token of its own at the start, and waits its turn.
			"--kube-api-qps=200", "--kube-api-burst=400",
			"--root-ca-file=" + c.pki("ca.crt"), "--service-account-private-key-file=" + c.pki("service-accounts.key"),
			"--cluster-signing-cert-file=" + c.pki("ca.crt"), "--cluster-signing-key-file=" + c.pki("ca.key"),
			"--profiling=false",
		}},
		c.answers("https://127.0.0.1:10257/healthz"),
	}
}

func (c Config) scheduler() component {
	kubeconfig := c.kubeconfigOf("kube-scheduler")
	return component{
		process.Program{Name: "kube-scheduler", Path: filepath.Join(c.Bin, "kube-scheduler"), Args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			"--tls-cert-file=" + c.pki("kube-scheduler.crt"), "--tls-private-key-file=" + c.pki("kube-scheduler.key"),
			"--leader-elect=false", "--profiling=false",
		}},
		c.answers("https://127.0.0.1:10259/healthz"),
	}
}

// controllers is this very program, see the package controllers.
func (c Config) controllers() component {
	return component{
		process.Program{Name: "controllers", Path: filepath.Join(c.Bin, "localcluster"), Args: []string{"controllers", "--output", c.Output}},
		dialable("tcp", fmt.Sprintf("127.0.0.1:%d", c.HTTPPort)),
	}
}

func (c Config) kubelet() component {
	return component{
		process.Program{Name: "kubelet", Path: filepath.Join(c.Bin, "kubelet"), Args: []string{
			"--config=" + c.path("config", "kubelet.yaml"), "--root-dir=" + c.path("kubelet"),
			"--kubeconfig=" + c.kubeconfigOf("kubelet"),
			"--hostname-override=" + NodeName, "--node-ip=" + network.NodeIP(c.Pods).String(),
		}},
		c.answers("http://127.0.0.1:10248/healthz"),
	}
}

func (c Config) proxy() component {
	return component{
		process.Program{Name: "kube-proxy", Path: filepath.Join(c.Bin, "kube-proxy"), Args: []string{"--config=" + c.path("config", "kube-proxy.yaml")}},
		c.answers("http://127.0.0.1:10256/livez"),
	}
}

func (c Config) pki(name string) string { return c.path("pki", name) }
