package harness

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
)

const (
	// defaultGrace is how many seconds a container has to end when nobody says otherwise.
	defaultGrace = 30
	// noticeExit is how long a kubelet takes to see that a container has ended.
	noticeExit = time.Second
)

// Balancer stands for what a cluster puts before the replicas of the API server: the
// Service, which spreads connections over those that are ready, and the kubelets, which
// find that out by the chart's probes and kill what they find dead. A connection stays
// with its replica for as long as both live; but nothing is forwarded, as by a cluster,
// while no replica is ready.
type Balancer struct {
	ctx       context.Context
	running   sync.WaitGroup
	readiness *corev1.Probe
	liveness  *corev1.Probe

	mu       sync.Mutex
	replicas []*replica
	conns    map[net.Conn]bool
}

type replica struct {
	server *Server
	ready  bool
}

// Balance has the cluster forward to replicas, by a Balancer and until the test ends, in
// place of the environment's own server.
func (e *Environment) Balance(t testing.TB, replicas ...*Server) *Balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	container, err := container(e.objects, serviceName)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	b := &Balancer{ctx: ctx, readiness: container.ReadinessProbe, liveness: container.LivenessProbe, conns: map[net.Conn]bool{}}
	for _, server := range replicas {
		b.Add(server)
	}
	b.running.Go(func() { b.accept(listener) })
	t.Cleanup(func() {
		if err := e.forward(context.WithoutCancel(t.Context()), e.port); err != nil {
			t.Error(err)
		}
		cancel()
		_ = listener.Close()
		b.running.Wait()
	})
	if err := e.forward(t.Context(), listener.Addr().(*net.TCPAddr).Port); err != nil {
		t.Fatal(err)
	}
	return b
}

// forward has the APIService lead to a port of this machine.
func (e *Environment) forward(ctx context.Context, port int) error {
	client, err := dynamic.NewForConfig(e.Admin())
	if err != nil {
		return err
	}
	for _, object := range e.objects {
		if object.GetKind() != "APIService" {
			continue
		}
		patch := fmt.Appendf(nil, `{"spec":{"service":{"port":%d}}}`, port)
		services := client.Resource(object.GroupVersionKind().GroupVersion().WithResource("apiservices"))
		if _, err := services.Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("leading APIService %s to port %d: %w", object.GetName(), port, err)
		}
	}
	return nil
}

// Add gives connections to one more replica as soon as it is ready.
func (b *Balancer) Add(server *Server) {
	r := &replica{server: server}
	b.mu.Lock()
	b.replicas = append(b.replicas, r)
	b.mu.Unlock()
	b.running.Go(func() {
		b.probe(r, b.readiness, func(ok bool) { b.setReady(r, ok) })
	})
	b.running.Go(func() {
		b.probe(r, b.liveness, func(ok bool) {
			if !ok {
				server.Stop(time.Duration(ptr.Deref(b.liveness.TerminationGracePeriodSeconds, defaultGrace)) * time.Second)
			}
		})
	})
	b.running.Go(func() {
		select {
		case <-server.Exited():
			time.Sleep(noticeExit)
			b.setReady(r, false)
		case <-b.ctx.Done():
		}
	})
}

// Delete takes a replica away as a cluster does: it is told to stop, and gets no more
// connections a moment later.
func (b *Balancer) Delete(server *Server) {
	server.Terminate()
	time.Sleep(noticeExit)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = slices.DeleteFunc(b.replicas, func(r *replica) bool { return r.server == server })
}

// Await waits until a replica gets connections.
func (b *Balancer) Await(t testing.TB, server *Server) {
	t.Helper()
	if err := server.WaitFor(t.Context(), func(context.Context) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Contains(b.ready(), server) {
			return errors.New("it is not ready")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// probe tells again and again, until the replica has ended, whether it passes.
func (b *Balancer) probe(r *replica, probe *corev1.Probe, tell func(ok bool)) {
	client := &http.Client{
		Timeout: time.Duration(probe.TimeoutSeconds) * time.Second,
		// As a kubelet does.
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // It holds nothing secret.
	}
	every := time.NewTicker(time.Duration(probe.PeriodSeconds) * time.Second)
	defer every.Stop()
	for failures := int32(0); ; {
		if passes(b.ctx, client, r.server.url+probe.HTTPGet.Path) {
			failures = 0
			tell(true)
		} else if failures++; failures >= probe.FailureThreshold {
			tell(false)
		}
		select {
		case <-every.C:
		case <-r.server.Exited():
			return
		case <-b.ctx.Done():
			return
		}
	}
}

func passes(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (b *Balancer) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.connect(conn) })
	}
}

// connect gives a connection to a replica that is ready, or ends it.
func (b *Balancer) connect(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	server := b.pick(conn)
	if server == nil {
		return
	}
	defer b.forget(conn)
	upstream, err := (&net.Dialer{}).DialContext(b.ctx, "tcp", server.address())
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	stop := context.AfterFunc(b.ctx, func() {
		_ = conn.Close()
		_ = upstream.Close()
	})
	defer stop()
	b.running.Go(func() {
		_, _ = io.Copy(upstream, conn)
		_ = upstream.Close()
	})
	_, _ = io.Copy(conn, upstream)
}

// pick returns one of the replicas that are ready for a connection, or nil.
func (b *Balancer) pick(conn net.Conn) *Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	ready := b.ready()
	if len(ready) == 0 {
		return nil
	}
	b.conns[conn] = true
	return ready[rand.IntN(len(ready))]
}

func (b *Balancer) forget(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, conn)
}

func (b *Balancer) setReady(r *replica, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.ready = ready
	if len(b.ready()) == 0 {
		for conn := range b.conns {
			_ = conn.Close()
		}
	}
}

// ready returns the replicas that are; the caller holds mu.
func (b *Balancer) ready() []*Server {
	var ready []*Server
	for _, r := range b.replicas {
		if r.ready {
			ready = append(ready, r.server)
		}
	}
	return ready
}
