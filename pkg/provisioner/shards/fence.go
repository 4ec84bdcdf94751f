package shards

import (
	"fmt"
	"net/http"
)

// Fence wraps the transport of a client that works on stores: once this replica's
// Lease is too old, nothing is written any more, also in the middle of an action
// that was begun in time. Reads go through.
func (s *Shards) Fence(next http.RoundTripper) http.RoundTripper {
	return fence{shards: s, next: next}
}

type fence struct {
	shards *Shards
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (f fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		f.shards.mu.Lock()
		valid := f.shards.valid()
		f.shards.mu.Unlock()
		if !valid {
			return nil, fmt.Errorf("%s %s was not sent: %w", r.Method, r.URL.Path, ErrLost)
		}
	}
	return f.next.RoundTrip(r)
}

// WrappedRoundTripper returns the transport underneath.
func (f fence) WrappedRoundTripper() http.RoundTripper { return f.next }
