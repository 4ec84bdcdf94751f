package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A rolling update refuses nobody: a replica that ends still answers those who have
// not learnt of it, and those it had begun to answer.
func TestServersEndGently(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		_, _ = io.WriteString(w, "ok")
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveOn(ctx, server, listener, time.Second) }()
	get := func(path string) error {
		response, err := http.Get("http://" + listener.Addr().String() + path)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	slow := make(chan error, 1)
	go func() { slow <- get("/slow") }()
	<-begun
	stop()
	if err := get("/"); err != nil {
		t.Errorf("a request after the signal: %v", err)
	}
	for get("/") == nil { // until the delay is over
		continue
	}
	close(finish)
	if err := <-slow; err != nil {
		t.Errorf("a request that had begun: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// Liveness knows nothing of the kube API; readiness asks it.
func TestHealth(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ready error
		want  map[string]int
	}{
		"with the kube API":    {nil, map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK}},
		"without the kube API": {io.EOF, map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable}},
	} {
		handler := health(func(context.Context) error { return test.ready })
		for path, want := range test.want {
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code != want {
				t.Errorf("%s: %s answers %d, want %d", name, path, w.Code, want)
			}
		}
	}
}
