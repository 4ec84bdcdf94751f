package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAwaitFrontProxy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		forwarded bool
		ready     error
		want      int
	}{
		{"forwarded", true, nil, http.StatusOK},
		{"forwarded too early", true, errFrontProxy, http.StatusServiceUnavailable},
		{"direct", false, nil, http.StatusOK},
		{"direct and early, such as a probe", false, errFrontProxy, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/apis/platform.dev/v1alpha1/stores", http.NoBody)
			if c.forwarded {
				request.Header.Set("X-Remote-User", "jane")
			}
			answer := httptest.NewRecorder()
			awaitFrontProxy(ok, func() error { return c.ready }).ServeHTTP(answer, request)
			if answer.Code != c.want {
				t.Fatalf("answered %d, want %d", answer.Code, c.want)
			}
			if c.want == http.StatusOK {
				return
			}
			var status metav1.Status
			if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil {
				t.Fatal(err)
			}
			if status.Reason != metav1.StatusReasonServiceUnavailable || answer.Header().Get("Retry-After") != "1" {
				t.Errorf("reason %q, retry after %q", status.Reason, answer.Header().Get("Retry-After"))
			}
		})
	}
}
