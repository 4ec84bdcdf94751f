package helm

import (
	"fmt"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"platform.dev/stores/pkg/chart"
)

// capabilitiesTTL is how long the cluster's version and APIs are believed.
const capabilitiesTTL = 10 * time.Minute

// cluster is what every action shares: one configuration and, because reading
// discovery for each release is what makes Helm slow and large, one discovery
// cache and one mapper.
type cluster struct {
	config    *rest.Config
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.ResettableRESTMapper

	mu           sync.Mutex
	capabilities *chartutil.Capabilities
	read         time.Time
}

func newCluster(config *rest.Config) (*cluster, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a discovery client: %w", err)
	}
	cached := memory.NewMemCacheClient(client)
	return &cluster{
		config:    config,
		discovery: cached,
		mapper:    restmapper.NewDeferredDiscoveryRESTMapper(cached),
	}, nil
}

// getCapabilities returns a copy, because Helm changes what it is given.
func (c *cluster) getCapabilities() (*chartutil.Capabilities, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.capabilities == nil || time.Since(c.read) > capabilitiesTTL {
		c.mapper.Reset()
		capabilities, err := chart.ReadCapabilities(c.discovery)
		if err != nil {
			return nil, err
		}
		c.capabilities, c.read = capabilities, time.Now()
	}
	return c.capabilities.Copy(), nil
}

// getter gives Helm's client the shared parts, and one namespace.
type getter struct {
	*cluster
	namespace string
}

// ToRESTConfig implements genericclioptions.RESTClientGetter.
func (g getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient implements genericclioptions.RESTClientGetter.
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.discovery, nil
}

// ToRESTMapper implements genericclioptions.RESTClientGetter.
func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.mapper, nil }

// ToRawKubeConfigLoader implements genericclioptions.RESTClientGetter.
func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	overrides := &clientcmd.ConfigOverrides{Context: clientcmdapi.Context{Namespace: g.namespace}}
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), overrides)
}
