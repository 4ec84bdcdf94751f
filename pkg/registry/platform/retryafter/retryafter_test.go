package retryafter

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestAt(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, test := range []struct {
		name string
		when time.Time
		want string
	}{
		{"whole second", when, "Mon, 04 May 2026 03:02:01 GMT"},
		{"never too early", when.Add(time.Millisecond), "Mon, 04 May 2026 03:02:02 GMT"},
		{"another zone", when.In(time.FixedZone("", 3600)), "Mon, 04 May 2026 03:02:01 GMT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			handler := WithHeader(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { At(r.Context(), test.when) }))
			handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
			if got := answer.Header().Get("Retry-After"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	At(t.Context(), when) // outside of requests
}
