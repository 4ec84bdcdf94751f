// Package kubeconfig writes kubeconfig files that carry their credentials inside.
package kubeconfig

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"platform.dev/stores/hack/localcluster/internal/certs"
)

// Write stores a kubeconfig with mode 0600 whose only context, named cluster,
// reaches server as the client of pair. authority is the PEM certificate that
// signed the server's.
func Write(file, cluster, server string, authority []byte, pair certs.Pair) error {
	config := api.NewConfig()
	config.Clusters[cluster] = &api.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos[cluster] = &api.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key}
	config.Contexts[cluster] = &api.Context{Cluster: cluster, AuthInfo: cluster}
	config.CurrentContext = cluster
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("writing kubeconfig %s: %w", file, err)
	}
	return nil
}
