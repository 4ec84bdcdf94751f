package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/process"
)

// Main runs the tests of a package in an environment that they share, which env is set
// to, with a PostgreSQL that loses data when it crashes. It returns the exit code.
func Main(m *testing.M, env **Environment) int {
	shared := &process.Scope{}
	defer shared.End()
	database := postgrestest.StartServer(shared, "fsync=off", "full_page_writes=off")
	var err error
	*env, err = Start(context.Background(), database.DSN())
	defer (*env).Stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Platform is a client of the platform's API.
func Platform(t testing.TB, config *rest.Config) typed.PlatformV1alpha1Interface {
	t.Helper()
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.PlatformV1alpha1()
}

// Core is a client of Kubernetes' own API.
func Core(t testing.TB, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// NewNamespace makes a namespace that is the test's own.
func (e *Environment) NewNamespace(t testing.TB) string {
	t.Helper()
	namespace, err := Core(t, e.Admin()).CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// Allow gives a user a ClusterRole in a namespace. It takes a moment until that counts.
func (e *Environment) Allow(t testing.TB, user, namespace, role string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := Core(t, e.Admin()).RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until done holds. An error of done fails the test at once.
func Eventually(t testing.TB, timeout time.Duration, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, timeout, true, done); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// Client makes plain requests by connections of its own.
type Client struct {
	*http.Client
	host string
}

// NewClient returns a client of the cluster that config leads to.
func NewClient(config *rest.Config) (*Client, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of %s: %w", config.Host, err)
	}
	return &Client{client, config.Host}, nil
}

// Send makes one request and returns the status and the body of its answer.
func (c *Client) Send(ctx context.Context, method, path string, header http.Header, body string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.host+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header = header
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

// Request makes one request with a Client of its own.
func Request(ctx context.Context, t testing.TB, config *rest.Config, method, path string, header http.Header, body string) (int, string) {
	t.Helper()
	client, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	status, answer, err := client.Send(ctx, method, path, header, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}
