package router

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func TestServeHTTP(t *testing.T) {
	t.Parallel()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "host=%s for=%s proto=%s forwarded-host=%s path=%s", r.Host, r.Header.Get("X-Forwarded-For"),
			r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.URL.Path)
	}))
	t.Cleanup(store.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()

	server := newServer(t,
		newIngress("ready", 1, ClassName, rule("ready.localhost", "/", networkingv1.PathTypePrefix)),
		newService("ready"), newSlice(t, "ready", store.URL, true),
		newIngress("starting", 1, ClassName, rule("starting.localhost", "/", networkingv1.PathTypePrefix)),
		newService("starting"), newSlice(t, "starting", store.URL, false),
		newIngress("gone", 1, ClassName, rule("gone.localhost", "/", networkingv1.PathTypePrefix)),
		newService("gone"), newSlice(t, "gone", closed.URL, true),
		newIngress("no-service", 1, ClassName, rule("no-service.localhost", "/", networkingv1.PathTypePrefix)),
	)
	tests := []struct {
		name, host string
		status     int
		body       string
	}{
		{"ready", "ready.localhost:8080", 200, "host=ready.localhost:8080 for=127.0.0.1 proto=http forwarded-host=ready.localhost:8080 path=/a b"},
		{"no ready endpoint", "starting.localhost:8080", 503, "starting.localhost is not ready"},
		{"endpoint does not answer", "gone.localhost:8080", 502, "gone.localhost:8080 does not answer"},
		{"no service", "no-service.localhost", 503, "no Service shop/no-service"},
		{"unknown host is named", "unknown.localhost:8080", 404, `"unknown.localhost"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/a%20b", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = test.host
			request.Header.Set("X-Forwarded-For", "203.0.113.9") // A client's own word must not pass.
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || !strings.Contains(string(body), test.body) {
				t.Errorf("got %d %q, want %d with %q", response.StatusCode, body, test.status, test.body)
			}
			if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
				t.Errorf("content type %q", kind)
			}
		})
	}
}

func newServer(t *testing.T, objects ...runtime.Object) *httptest.Server {
	t.Helper()
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	router := New(factory)
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSync(t.Context().Done())
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server
}

func newService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "metrics", Port: 9}, {Name: "http", Port: 80}}},
	}
}

func newSlice(t *testing.T, service, url string, ready bool) *discoveryv1.EndpointSlice {
	t.Helper()
	address, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service + "-1", Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("metrics"), Port: ptr.To(int32(9))}, {Name: ptr.To("http"), Port: ptr.To(int32(address.Port()))}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{address.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready)},
		}},
	}
}
