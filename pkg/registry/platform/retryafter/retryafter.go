// Package retryafter tells clients when to come again, as a date.
//
// Kubernetes' own errors tell a number of seconds, for which clients wait in silence
// before they try again by themselves. That is right for seconds. Of a limit that takes
// minutes to pass, the user wants to know at once.
package retryafter

import (
	"context"
	"net/http"
	"time"
)

type key struct{}

// WithHeader lets At write to the headers of the answers of handler.
func WithHeader(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, w.Header())))
	})
}

// At has the answer to ctx's request say when to come again, to the next second. It does
// nothing outside of requests.
func At(ctx context.Context, when time.Time) {
	if header, ok := ctx.Value(key{}).(http.Header); ok {
		header.Set("Retry-After", when.Add(time.Second-time.Nanosecond).UTC().Format(http.TimeFormat))
	}
}
