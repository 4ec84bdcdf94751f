package apiserver

import (
	"net/http"
	"sync/atomic"
	"time"
)

// leaveAfter is how long a server that was told to stop keeps its connections: in that
// time the cluster stops to give it new ones. It is shorter than the shutdown delay of
// the chart.
const leaveAfter = time.Second

// leaving has the connections of a server that was told to stop end before it does. The
// cluster forwards all requests by few connections and gives none up by itself: those
// that it had when the server stops would fail.
type leaving struct {
	told atomic.Pointer[time.Time]
}

// begin is a hook that runs when the server is told to stop.
func (l *leaving) begin() error {
	now := time.Now()
	l.told.Store(&now)
	return nil
}

// wrap has the connection of a request end once all that is under way on it is answered.
func (l *leaving) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if told := l.told.Load(); told != nil && time.Since(*told) >= leaveAfter {
			w.Header().Set("Connection", "close") // by HTTP/2 this is GOAWAY
		}
		handler.ServeHTTP(w, r)
	})
}
