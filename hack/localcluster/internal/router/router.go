package router

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// Errors that a request can end with before it reaches a store.
var (
	errUnknownHost = errors.New("no Ingress has this host and path")
	errNoEndpoints = errors.New("the Service has no endpoint that is ready")
)

// Router is an http.Handler that passes requests on to the ready endpoints of
// the Services that Ingresses name.
type Router struct {
	ingresses networkinglisters.IngressLister
	services  corelisters.ServiceLister
	slices    discoverylisters.EndpointSliceLister
	proxy     *httputil.ReverseProxy
}

// New returns a router over the factory's informers, which the caller starts.
func New(factory informers.SharedInformerFactory) *Router {
	r := &Router{
		ingresses: factory.Networking().V1().Ingresses().Lister(),
		services:  factory.Core().V1().Services().Lister(),
		slices:    factory.Discovery().V1().EndpointSlices().Lister(),
	}
	r.proxy = &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			endpoint := request.In.Context().Value(endpointKey{}).(netip.AddrPort)
			request.SetURL(&url.URL{Scheme: "http", Host: endpoint.String()})
			request.Out.Host = request.In.Host
			request.SetXForwarded()
		},
		// A store's pods come and go: a connection kept for later may lead to a
		// pod that is gone or, worse, to another one that got its address.
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, DisableCompression: true},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, request *http.Request, err error) {
			if request.Context().Err() == nil {
				klog.FromContext(request.Context()).Error(err, "Passing on a request failed", "host", request.Host)
			}
			http.Error(w, fmt.Sprintf("502: %s does not answer", request.Host), http.StatusBadGateway)
		},
	}
	return r
}

type endpointKey struct{}

// ServeHTTP implements http.Handler.
func (r *Router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	endpoint, err := r.endpoint(hostname(request.Host), request.URL.Path)
	switch {
	case errors.Is(err, errUnknownHost):
		http.Error(w, fmt.Sprintf("404: no store here: no Ingress of class %s has the host %q and the path %q",
			ClassName, hostname(request.Host), request.URL.Path), http.StatusNotFound)
	case err != nil:
		w.Header().Set("Retry-After", "2")
		http.Error(w, fmt.Sprintf("503: %s is not ready: %v", hostname(request.Host), err), http.StatusServiceUnavailable)
	default:
		r.proxy.ServeHTTP(w, request.WithContext(context.WithValue(request.Context(), endpointKey{}, endpoint)))
	}
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// endpoint chooses where a request goes.
func (r *Router) endpoint(host, path string) (netip.AddrPort, error) {
	ingresses, err := r.ingresses.List(labels.Everything())
	if err != nil {
		return netip.AddrPort{}, err
	}
	to, found := route(ingresses, host, path)
	if !found {
		return netip.AddrPort{}, errUnknownHost
	}
	service, err := r.services.Services(to.namespace).Get(to.backend.Name)
	if apierrors.IsNotFound(err) {
		return netip.AddrPort{}, fmt.Errorf("no Service %s/%s", to.namespace, to.backend.Name)
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := portName(service, to.backend.Port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	slices, err := r.slices.EndpointSlices(to.namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
	if err != nil {
		return netip.AddrPort{}, err
	}
	ready := readyEndpoints(slices, port)
	if len(ready) == 0 {
		return netip.AddrPort{}, errNoEndpoints
	}
	return ready[rand.IntN(len(ready))], nil
}

// portName is the name of the Service port that an Ingress means; endpoint
// slices know ports by that name.
func portName(service *corev1.Service, want networkingv1.ServiceBackendPort) (string, error) {
	for _, port := range service.Spec.Ports {
		if (want.Name != "" && port.Name == want.Name) || (want.Name == "" && port.Port == want.Number) {
			return port.Name, nil
		}
	}
	name := want.Name
	if name == "" {
		name = strconv.Itoa(int(want.Number))
	}
	return "", fmt.Errorf("no port %s in Service %s/%s", name, service.Namespace, service.Name)
}

func readyEndpoints(slices []*discoveryv1.EndpointSlice, port string) []netip.AddrPort {
	var ready []netip.AddrPort
	for _, slice := range slices {
		for _, p := range slice.Ports {
			if ptr.Deref(p.Name, "") != port || p.Port == nil {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if !ptr.Deref(endpoint.Conditions.Ready, true) {
					continue
				}
				for _, address := range endpoint.Addresses {
					if ip, err := netip.ParseAddr(address); err == nil {
						ready = append(ready, netip.AddrPortFrom(ip, uint16(*p.Port)))
					}
				}
			}
		}
	}
	return ready
}
