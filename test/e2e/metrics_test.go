package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The API server's metrics are for whom the cluster lets read /metrics, over a
// connection that the authority in its Secret vouches for: what the chart's
// ServiceMonitor tells Prometheus to use.
func TestAPIServerMetricsAreGuarded(t *testing.T) {
	t.Parallel()
	namespace := makeNamespace(t, "metrics-readers", nil)
	allowed, denied := serviceAccountToken(t, namespace, "prometheus"), serviceAccountToken(t, namespace, "other")
	allowMetrics(t, namespace, "prometheus")

	eventually(t, 30*time.Second, "Prometheus to read the metrics", func(context.Context) (bool, string) {
		status, text := apiserverMetrics(t, allowed)
		return status == http.StatusOK && strings.Contains(text, "apiserver_request_total"), text
	})
	if status, _ := apiserverMetrics(t, denied); status != http.StatusForbidden {
		t.Errorf("whoever has a token gets %d, want 403", status)
	}
	if status, _ := apiserverMetrics(t, ""); status != http.StatusUnauthorized && status != http.StatusForbidden {
		t.Errorf("without a token the answer is %d, want a refusal", status)
	}
}

func serviceAccountToken(t *testing.T, namespace, name string) string {
	t.Helper()
	accounts := core.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// allowMetrics grants what the chart grants with metrics.serviceMonitor.enabled.
func allowMetrics(t *testing.T, namespace, account string) {
	t.Helper()
	name := "e2e-metrics-reader"
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}
	if _, err := core.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}},
	}
	if _, err := core.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = core.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
		_ = core.RbacV1().ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{})
	})
}

// apiserverMetrics asks the API server itself, as Prometheus does.
func apiserverMetrics(t *testing.T, token string) (status int, text string) {
	t.Helper()
	service, err := core.CoreV1().Services(platformNamespace).Get(t.Context(), "platform-apiserver", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := core.CoreV1().Secrets(platformNamespace).Get(t.Context(), "platform-apiserver-certificate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(secret.Data["ca.crt"])
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: authority, ServerName: "platform-apiserver." + platformNamespace + ".svc"},
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+net.JoinHostPort(service.Spec.ClusterIP, "443")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
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
