package apiserver

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// leaveAfter is how long a server that was told to stop keeps its connections: in that
	// time the cluster stops to give it new ones. It is shorter than the shutdown delay of
	// the chart.
	leaveAfter = time.Second
	// turnover is how many requests a connection serves on average.
	turnover = 1000
)

// connections decides when connections end. The cluster keeps those that it has a use
// for: requests on their way by them would fail when the server stops, and a server that
// comes later would get few.
type connections struct {
	told atomic.Pointer[time.Time]
}

// leave is a hook that runs when the server is told to stop.
func (c *connections) leave() error {
	now := time.Now()
	c.told.Store(&now)
	return nil
}

// wrap has a connection end with the answer to a request: to any when the server leaves,
// and else to few.
func (c *connections) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := c.told.Load()
		// By HTTP/2 this is GOAWAY, which fails writes that are on their way.
		if told != nil && time.Since(*told) >= leaveAfter || r.ProtoMajor == 1 && rand.IntN(turnover) == 0 {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}
