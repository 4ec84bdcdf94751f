package cluster

import (
	"fmt"
	"os"

	"platform.dev/stores/hack/localcluster/internal/certs"
	"platform.dev/stores/hack/localcluster/internal/kubeconfig"
	"platform.dev/stores/hack/localcluster/internal/network"
)

// writeCredentials makes the authorities, the certificates and the kubeconfigs
// of a new cluster.
func (c Config) writeCredentials() error {
	authority, err := certs.NewAuthority("localcluster")
	if err != nil {
		return err
	}
	// The API server trusts the user names in the headers of whoever holds a
	// certificate of this authority, so it signs nothing else.
	frontProxy, err := certs.NewAuthority("localcluster-front-proxy")
	if err != nil {
		return err
	}
	serviceAccounts, err := certs.NewAuthority("service-accounts") // Only its key is used.
	if err != nil {
		return err
	}
	for name, a := range map[string]*certs.Authority{"ca": authority, "front-proxy-ca": frontProxy, "service-accounts": serviceAccounts} {
		pair, err := a.Pair()
		if err != nil {
			return err
		}
		if err := pair.Write(c.path("pki"), name); err != nil {
			return err
		}
	}
	if err := c.issue(frontProxy, "front-proxy-client", certs.Request{CommonName: "front-proxy-client"}); err != nil {
		return err
	}
	for name, request := range c.servingCertificates() {
		if err := c.issue(authority, name, request); err != nil {
			return err
		}
	}
	if err := c.issue(authority, "kubelet-client", certs.Request{CommonName: kubeletClient}); err != nil {
		return err
	}
	return c.writeKubeconfigs(authority)
}

// kubeletClient is the user that the API server is to the kubelet.
const kubeletClient = "localcluster:kube-apiserver"

func (c Config) servingCertificates() map[string]certs.Request {
	return map[string]certs.Request{
		"kube-apiserver": {CommonName: "kube-apiserver", Hosts: []string{
			"127.0.0.1", "::1", "localhost", network.NodeIP(c.Pods).String(), network.ServiceIP(c.Services, 1).String(),
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		"kube-controller-manager": {CommonName: "kube-controller-manager", Hosts: []string{"127.0.0.1"}},
		"kube-scheduler":          {CommonName: "kube-scheduler", Hosts: []string{"127.0.0.1"}},
		"kubelet":                 {CommonName: "system:node:" + NodeName, Hosts: []string{NodeName, network.NodeIP(c.Pods).String()}},
	}
}

func (c Config) issue(authority *certs.Authority, name string, request certs.Request) error {
	pair, err := authority.Issue(request)
	if err != nil {
		return err
	}
	return pair.Write(c.path("pki"), name)
}

func (c Config) writeKubeconfigs(authority *certs.Authority) error {
	root, err := authority.Pair()
	if err != nil {
		return err
	}
	files := map[string]certs.Request{
		c.Kubeconfig:                              {CommonName: "admin", Organizations: []string{"system:masters"}},
		c.ControllersKubeconfig():                 {CommonName: "localcluster:controllers"},
		c.kubeconfigOf("kube-controller-manager"): {CommonName: "system:kube-controller-manager"},
		c.kubeconfigOf("kube-scheduler"):          {CommonName: "system:kube-scheduler"},
		c.kubeconfigOf("kube-proxy"):              {CommonName: "system:kube-proxy"},
		c.kubeconfigOf("kubelet"):                 {CommonName: "system:node:" + NodeName, Organizations: []string{"system:nodes"}},
	}
	for file, request := range files {
		pair, err := authority.Issue(request)
		if err != nil {
			return err
		}
		// An old file would keep its mode.
		if err := os.RemoveAll(file); err != nil {
			return fmt.Errorf("replacing %s: %w", file, err)
		}
		if err := kubeconfig.Write(file, "localcluster", c.serverURL(), root.Certificate, pair); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) kubeconfigOf(program string) string {
	return c.path("kubeconfigs", program+".kubeconfig")
}
