package apiserver

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"platform.dev/stores/pkg/storage/history"
)

func TestSource(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		forwarded string
		want      []string
	}{
		"direct":          {"", []string{"192.0.2.1"}},
		"forwarded":       {"203.0.113.7", []string{"203.0.113.7", "192.0.2.1"}},
		"through proxies": {"2001:db8::1, 10.0.0.1", []string{"2001:db8::1", "10.0.0.1", "192.0.2.1"}},
		"forged":          {"<script>, 203.0.113.7", []string{"203.0.113.7", "192.0.2.1"}},
		"endless":         {strings.Repeat("198.51.100.9, ", 1000) + "203.0.113.7", []string{"198.51.100.9", "198.51.100.9", "203.0.113.7", "192.0.2.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			request.RemoteAddr = "192.0.2.1:1234"
			if test.forwarded != "" {
				request.Header.Set("X-Forwarded-For", test.forwarded)
			}
			var got []string
			withSource(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = history.SourceOf(r.Context()) })).
				ServeHTTP(httptest.NewRecorder(), request)
			if !slices.Equal(got, test.want) {
				t.Errorf("came from %v, want %v", got, test.want)
			}
		})
	}
}
