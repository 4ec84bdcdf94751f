package integration

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
)

const storesPath = "/apis/platform.dev/v1alpha1/stores"

// Without its database the server says so, answers what it remembers, refuses
// the rest quickly, and goes on by itself when the database is back.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	database := postgrestest.StartServer(t)
	server := env.StartServer(t, withPassword(database.DSN()))
	admin := server.As(env.Admin())
	client := harness.Platform(t, admin)
	engine := createEngine(t, client)
	stores := client.Stores(namespace)
	if _, err := stores.Create(t.Context(), newStore("before", engine), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	watcher := startWatch(t, stores, metav1.ListOptions{ResourceVersion: "0"})
	next(t, watcher, watch.Added)

	database.Stop()
	harness.Eventually(t, patience, "readyz to go red", func(context.Context) (bool, error) {
		status, body := send(t, admin, http.MethodGet, "/readyz?verbose", nil)
		return status == http.StatusInternalServerError && strings.Contains(body, "[-]postgres failed"), nil
	})
	for _, path := range []string{
		"/livez",
		"/apis/platform.dev/v1alpha1",
		"/openapi/v3/apis/platform.dev/v1alpha1",
		storesPath + "?resourceVersion=0",
		"/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores/before?resourceVersion=0",
	} {
		if status, body := send(t, admin, http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("GET %s without a database: status %d, want 200: %s", path, status, body)
		}
	}
	if status, body := send(t, admin, http.MethodGet, storesPath, nil); status != http.StatusServiceUnavailable {
		t.Errorf("a consistent list without a database: status %d, want 503: %s", status, body)
	}
	// A client that does not retry shows what a write gets.
	start := time.Now()
	_, err := harness.Platform(t, withoutRetries(admin)).Stores(namespace).Create(t.Context(), newStore("during", engine), metav1.CreateOptions{})
	if !apierrors.IsServiceUnavailable(err) {
		t.Errorf("creating without a database: %v, want ServiceUnavailable", err)
	} else {
		contains(t, err.Error(), "database is not available")
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); !ok || seconds < 1 {
		t.Errorf("the answer tells to come back after %d s (%t)", seconds, ok)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the refusal took %s", took)
	}

	if err := database.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "readyz to go green", func(context.Context) (bool, error) {
		status, _ := send(t, admin, http.MethodGet, "/readyz", nil)
		return status == http.StatusOK, nil
	})
	if _, err := stores.Create(t.Context(), newStore("after", engine), metav1.CreateOptions{}); err != nil {
		t.Errorf("creating after the outage: %v", err)
	}
	list, err := stores.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("stores after the outage: %v, %v", list, err)
	}
	// The watch of before either goes on or ends, and then is opened anew.
	harness.Eventually(t, patience, "watches to show the new store", func(context.Context) (bool, error) {
		select {
		case event, open := <-watcher.ResultChan():
			if !open || event.Type == watch.Error {
				watcher = startWatch(t, stores, metav1.ListOptions{ResourceVersion: "0"})
				return false, nil
			}
			store, ok := event.Object.(*v1alpha1.Store)
			return ok && store.Name == "after", nil
		default:
			return false, nil
		}
	})
	if err := passwordInLog(server); err != nil {
		t.Error(err)
	}
}

// A server that is told to stop ends its watches and itself within seconds.
func TestShutdownEndsWatches(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	server := env.StartServer(t, env.Database())
	admin := server.As(env.Admin())
	watcher := startWatch(t, harness.Platform(t, admin).Stores(namespace), metav1.ListOptions{})

	start := time.Now()
	server.Terminate()
	// It first goes out of rotation, and still serves who has not noticed.
	harness.Eventually(t, patience, "readyz to go red", func(context.Context) (bool, error) {
		status, _ := send(t, admin, http.MethodGet, "/readyz", nil)
		return status == http.StatusInternalServerError, nil
	})
	if status, body := send(t, admin, http.MethodGet, storesPath, nil); status != http.StatusOK {
		t.Errorf("listing during the shutdown delay: status %d, want 200: %s", status, body)
	}
	timeout := time.After(15 * time.Second)
	for ended := false; !ended; {
		select {
		case _, open := <-watcher.ResultChan():
			ended = !open
		case <-timeout:
			t.Fatal("the watch is still open after 15 s")
		}
	}
	select {
	case <-server.Exited():
	case <-timeout:
		t.Fatal("the server is still there after 15 s")
	}
	if code := server.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	t.Logf("The server was gone %s after the signal.", time.Since(start).Round(100*time.Millisecond))
}

// withoutRetries returns a client configuration that shows the first answer.
func withoutRetries(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			if err == nil {
				response.Header.Del("Retry-After") // stays in the body
			}
			return response, err
		})
	})
	return config
}
