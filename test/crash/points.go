package crash

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/transport"
)

// order tells a provisioner where it is to end.
type order struct {
	// Lease is how long its lease lasts; 0 is longLease.
	Lease time.Duration
	// At are points: "before" or "after", the client, the verb and the resource.
	At []string
	// After is how long after its start it passes them all the same.
	After time.Duration
	// Skip is how many passings are let go then.
	Skip int
	// Stop has the process stopped, to be continued, rather than killed.
	Stop bool
}

// points see every request of a provisioner, and carry out its order.
type points struct {
	order order
	start time.Time

	mu   sync.Mutex
	out  io.Writer // gets each point that is passed, a line each
	left int       // passings until the order is carried out
}

// wrap makes points of the requests of a client.
func (p *points) wrap(client string) transport.WrapperFunc {
	return func(next http.RoundTripper) http.RoundTripper { return &pointed{points: p, client: client, next: next} }
}

type pointed struct {
	points *points
	client string
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *pointed) RoundTrip(r *http.Request) (*http.Response, error) {
	name := t.client + " " + describe(r)
	t.points.pass("before " + name)
	response, err := t.next.RoundTrip(r)
	t.points.pass("after " + name)
	return response, err
}

// WrappedRoundTripper returns the transport underneath.
func (t *pointed) WrappedRoundTripper() http.RoundTripper { return t.next }

func (p *points) pass(point string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, point)
	if time.Since(p.start) < p.order.After || !slices.Contains(p.order.At, point) {
		return
	}
	if p.left--; p.left != 0 {
		return
	}
	if p.order.Stop {
		fmt.Fprintln(p.out, stopped)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // The signal may take a moment.
}

// stopped is the line that follows the point at which a provisioner stops.
const stopped = "stopped"

var requests = &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

// describe tells the verb and the resource of a request.
func describe(r *http.Request) string {
	info, err := requests.NewRequestInfo(r)
	if err != nil || !info.IsResourceRequest {
		return r.Method + " a document"
	}
	if info.Subresource != "" {
		return info.Verb + " " + info.Resource + "/" + info.Subresource
	}
	return info.Verb + " " + info.Resource
}
