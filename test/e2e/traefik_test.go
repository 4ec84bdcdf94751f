package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/cert"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

var gateways = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}

// Traefik, as hack/traefik.sh installs it, brings shoppers to a store by either
// kind of route, over https with the store's own certificate or the Gateway's.
func TestTraefikRoutesToStores(t *testing.T) {
	t.Parallel()
	makeRoutedEngine(t, "routed-ingress", map[string]any{
		"type":    "ingress",
		"ingress": map[string]any{"className": "traefik", "tls": map[string]any{"enabled": true}},
	})
	makeRoutedEngine(t, "routed-gateway", map[string]any{
		"type":    "gateway",
		"gateway": map[string]any{"parent": map[string]any{"name": "shops", "namespace": "traefik", "sectionName": "https"}},
	})
	// Both are made at once, to wait for one only.
	for name, host := range map[string]string{"ingress": "flowers.example.net", "gateway": "tea.shops.test"} {
		createStore(t, &v1alpha1.Store{
			ObjectMeta: metav1.ObjectMeta{Name: "routed-" + name},
			Spec:       v1alpha1.StoreSpec{Engine: "routed-" + name, DisplayName: "Shop behind " + name, Host: host},
		})
	}

	t.Run("Ingress", func(t *testing.T) {
		store := waitFor(t, "routed-ingress", v1alpha1.ConditionSecretsReady, 2*time.Minute)
		authority := makeCertificate(t, store.Status.Namespace, "storefront-tls", store.Spec.Host)
		store = waitFor(t, store.Name, v1alpha1.ConditionReady, 8*time.Minute)
		assertServedByTraefik(t, store, authority)
		if status, _ := askTraefik(t, "http", store.Spec.Host, nil); status != http.StatusOK {
			t.Errorf("over http the shop answered %d", status)
		}
		deleteAndWait(t, store)
	})
	t.Run("HTTPRoute", func(t *testing.T) {
		// Nobody has taken the route up, and the store says so.
		eventually(t, 8*time.Minute, "the store to miss its Gateway", func(ctx context.Context) (bool, string) {
			store, err := getStore(ctx, "routed-gateway")
			if err != nil {
				return false, err.Error()
			}
			return hasReason(store, v1alpha1.ConditionRouteReady, "HTTPRoutePending"), describe(store)
		})
		authority := makeCertificate(t, "traefik", "shops-tls", "*.shops.test")
		makeGateway(t, "shops-tls")
		store := waitFor(t, "routed-gateway", v1alpha1.ConditionReady, 3*time.Minute)
		assertServedByTraefik(t, store, authority)
		deleteAndWait(t, store)
	})
	t.Run("a host of no store", func(t *testing.T) {
		if status, _ := askTraefik(t, "http", "nobody.example.net", nil); status != http.StatusNotFound {
			t.Errorf("Traefik answered %d, want 404", status)
		}
	})
}

// makeRoutedEngine copies engine medusa with another route.
func makeRoutedEngine(t *testing.T, name string, route map[string]any) {
	t.Helper()
	engine, err := platform.PlatformV1alpha1().Engines().Get(t.Context(), "medusa", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(engine.Spec.Values.Raw, &values); err != nil {
		t.Fatal(err)
	}
	values["route"] = route
	policy := values["networkPolicy"].(map[string]any)
	policy["from"] = append(policy["from"].([]any), map[string]any{
		"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "traefik"}},
	})
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	engine.Spec.Values = &runtime.RawExtension{Raw: raw}
	engine.ObjectMeta = metav1.ObjectMeta{Name: name}
	if _, err := platform.PlatformV1alpha1().Engines().Create(t.Context(), engine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = platform.PlatformV1alpha1().Engines().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
}

// makeCertificate puts a certificate for the host into a Secret, as cert-manager
// would, and returns who trusts it.
func makeCertificate(t *testing.T, namespace, name, host string) *x509.CertPool {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = core.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.CoreV1().Secrets(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// makeGateway makes the Gateway that the routes name: https for every host below
// shops.test.
func makeGateway(t *testing.T, secret string) {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Resource(gateways).Namespace("traefik").Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1",
		"kind":       "Gateway",
		"metadata":   map[string]any{"name": "shops"},
		"spec": map[string]any{
			"gatewayClassName": "traefik",
			"listeners": []any{map[string]any{
				"name": "https", "protocol": "HTTPS", "port": int64(443), "hostname": "*.shops.test",
				"tls":           map[string]any{"certificateRefs": []any{map[string]any{"name": secret}}},
				"allowedRoutes": map[string]any{"namespaces": map[string]any{"from": "All"}},
			}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Resource(gateways).Namespace("traefik").Delete(context.WithoutCancel(t.Context()), "shops", metav1.DeleteOptions{})
	})
}

// assertServedByTraefik reads the shop's page over https with a certificate that
// the authority vouches for. The shop is Ready before Traefik has read the new
// endpoints, so it asks again for a short while.
func assertServedByTraefik(t *testing.T, store *v1alpha1.Store, authority *x509.CertPool) {
	t.Helper()
	eventually(t, 10*time.Second, "Traefik to serve "+store.Spec.Host, func(context.Context) (bool, string) {
		status, page := askTraefik(t, "https", store.Spec.Host, authority)
		return status == http.StatusOK && strings.Contains(html.UnescapeString(page), store.Spec.DisplayName), page
	})
}

// askTraefik gets the front page of a host from Traefik's Service.
func askTraefik(t *testing.T, scheme, host string, authority *x509.CertPool) (status int, page string) {
	t.Helper()
	service, err := core.CoreV1().Services("traefik").Get(t.Context(), "traefik", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("Traefik is not installed: run hack/traefik.sh: %v", err)
	}
	client := http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: authority},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(service.Spec.ClusterIP, port))
			},
		},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+host+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

func hasReason(store *v1alpha1.Store, condition, reason string) bool {
	for _, c := range store.Status.Conditions {
		if c.Type == condition {
			return c.Reason == reason
		}
	}
	return false
}

func deleteAndWait(t *testing.T, store *v1alpha1.Store) {
	t.Helper()
	if err := platform.PlatformV1alpha1().Stores(store.Namespace).Delete(t.Context(), store.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitGone(t, store)
}
