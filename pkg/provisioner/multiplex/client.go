package multiplex

import (
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// ClientFor returns a client for absolute paths whose GET requests are multiplexed, and
// are otherwise as the config says. Where the config needs what a Transport cannot do,
// that is plain HTTP, a proxy or a plugin that makes credentials, the client is an
// ordinary one.
func ClientFor(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.NegotiatedSerializer = &schema.GroupVersion{}, scheme.Codecs.WithoutConversion()
	host, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	proxy := config.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	through, err := proxy(&http.Request{URL: host})
	if err != nil {
		return nil, fmt.Errorf("finding a proxy to the API server: %w", err)
	}
	if host.Scheme == "https" && through == nil && config.ExecProvider == nil && config.AuthProvider == nil && config.Transport == nil {
		trust, err := rest.TLSConfigFor(config)
		if err != nil {
			return nil, fmt.Errorf("reading how to trust the API server: %w", err)
		}
		config.TLSClientConfig = rest.TLSClientConfig{}
		config.Transport = &Transport{TLS: trust, Dial: config.Dial}
		config.Dial = nil
	}
	return rest.RESTClientFor(config)
}
