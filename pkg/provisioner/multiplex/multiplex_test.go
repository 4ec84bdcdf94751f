package multiplex

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// recorder takes a response, and lets go once it has ended.
type recorder struct {
	mu   sync.Mutex
	got  bytes.Buffer
	some chan struct{} // closed when the first bytes have come
	end  chan error
	// refuses is what Write answers.
	refuses error
}

func newRecorder() *recorder {
	return &recorder{some: make(chan struct{}), end: make(chan error, 2)}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got.Len() == 0 {
		close(r.some)
	}
	n, _ := r.got.Write(p)
	return n, r.refuses
}

func (r *recorder) End(err error) { r.end <- err }

// ended returns what End was told.
func (r *recorder) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.end:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the response does not end")
		return nil
	}
}

// serve starts a server, and returns it with a client that multiplexes.
func serve(t *testing.T, handler http.HandlerFunc, edit ...func(*httptest.Server)) (*httptest.Server, *http.Client, *Transport) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	for _, f := range edit {
		f(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := &Transport{TLS: trust(server)}
	t.Cleanup(func() { closeConnections(transport) })
	return server, &http.Client{Transport: transport}, transport
}

func trust(server *httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func closeConnections(transport *Transport) {
	for _, c := range transport.all() {
		c.fail(net.ErrClosed)
	}
}

// all are the connections that there are.
func (t *Transport) all() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*conn
	for _, conns := range t.conns {
		all = append(all, conns...)
	}
	return all
}

// get begins a request.
func get(t *testing.T, ctx context.Context, client *http.Client, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func follow(t *testing.T, response *http.Response, receiver Receiver) {
	t.Helper()
	body, ok := response.Body.(*Response)
	if !ok {
		t.Fatalf("the body is a %T", response.Body)
	}
	body.Follow(receiver)
}

// What a server sends is the same to who reads, who follows, and the standard client,
// be it empty, whole, larger than all windows or an error.
func TestResponsesAreWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 3*connWindow/16+5)
	for _, tc := range []struct {
		name   string
		status int
		body   string
	}{
		{"nothing", http.StatusOK, ""},
		{"little", http.StatusOK, "an event\n"},
		{"more than the windows", http.StatusOK, long},
		{"an error", http.StatusForbidden, `{"kind":"Status"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server, client, _ := serve(t, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("X-Asked", r.URL.RawQuery+" "+r.Header.Get("Authorization")+" "+r.Host)
				rw.WriteHeader(tc.status)
				_, _ = io.WriteString(rw, tc.body)
			})
			client.Transport = withHeader{client.Transport}
			url := server.URL + "/watch?a=b%20c"
			want := "a=b%20c secret " + strings.TrimPrefix(server.URL, "https://")
			read := get(t, t.Context(), client, url)
			content, err := io.ReadAll(read.Body)
			if err != nil || string(content) != tc.body || read.StatusCode != tc.status || read.Header.Get("X-Asked") != want {
				t.Errorf("read %d bytes with status %d and headers %v, error %v", len(content), read.StatusCode, read.Header, err)
			}
			receiver := newRecorder()
			follow(t, get(t, t.Context(), client, url), receiver)
			if err := receiver.ended(t); err != nil || receiver.got.String() != tc.body {
				t.Errorf("followed %d bytes, error %v", receiver.got.Len(), err)
			}
		})
	}
}

// withHeader asks as somebody.
type withHeader struct{ next http.RoundTripper }

func (w withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "secret")
	return w.next.RoundTrip(r)
}

// A thousand silent responses share connections as the server allows, and take no
// goroutine here; what comes is told at once.
func TestSilentResponsesTakeNoGoroutine(t *testing.T) {
	t.Parallel()
	const count, places = 1000, 250
	var waiting sync.WaitGroup
	waiting.Add(count)
	speak := make(chan struct{})
	server, client, transport := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		waiting.Done()
		<-speak
		_, _ = io.WriteString(rw, r.URL.Path)
	}, func(s *httptest.Server) {
		s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: places}
	})
	receivers := make([]*recorder, count)
	for i := range receivers {
		receivers[i] = newRecorder()
		follow(t, get(t, t.Context(), client, fmt.Sprintf("%s/%d", server.URL, i)), receivers[i])
	}
	waiting.Wait()
	if got := len(transport.all()); got != count/places {
		t.Errorf("%d connections, want %d", got, count/places)
	}
	stacks := make([]byte, 64<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	// Of each connection: one that reads, and one that guards it.
	for _, part := range []string{"multiplex.(*conn).read(", "multiplex.(*conn).guard("} {
		if got := bytes.Count(stacks, []byte(part)); got < count/places || got > count/10 {
			t.Errorf("%d goroutines in %s", got, part)
		}
	}
	if bytes.Contains(stacks, []byte("multiplex.(*Response)")) {
		t.Error("a goroutine belongs to a response")
	}
	close(speak)
	for i, receiver := range receivers {
		if err := receiver.ended(t); err != nil || receiver.got.String() != fmt.Sprintf("/%d", i) {
			t.Errorf("response %d: %q, error %v", i, receiver.got.String(), err)
		}
	}
}

// A response ends when its request's context, its receiver, its server or the
// connection does, once, and the server notices.
func TestResponsesEnd(t *testing.T) {
	t.Parallel()
	refusal := errors.New("not wanted")
	for _, tc := range []struct {
		name string
		end  func(cancel context.CancelFunc, server *httptest.Server, response *http.Response)
		// refuses is what the receiver answers.
		refuses error
		want    string
	}{
		{"by its context", func(cancel context.CancelFunc, _ *httptest.Server, _ *http.Response) { cancel() }, nil, "context canceled"},
		{"by its reader", func(_ context.CancelFunc, _ *httptest.Server, r *http.Response) { _ = r.Body.Close() }, nil, "context canceled"},
		{"by its receiver", nil, refusal, "not wanted"},
		{"with its connection", func(_ context.CancelFunc, s *httptest.Server, _ *http.Response) { s.CloseClientConnections() }, nil, "the connection has ended"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{})
			server, client, _ := serve(t, func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(rw, "first")
				rw.(http.Flusher).Flush()
				<-r.Context().Done()
				close(gone)
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			response := get(t, ctx, client, server.URL)
			receiver := newRecorder()
			receiver.refuses = tc.refuses
			follow(t, response, receiver)
			<-receiver.some
			if tc.end != nil {
				tc.end(cancel, server, response)
			}
			if err := receiver.ended(t); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ended with %v, want %s", err, tc.want)
			}
			<-gone
			select {
			case err := <-receiver.end:
				t.Errorf("ended once more, with %v", err)
			default:
			}
		})
	}
}

// A server that shuts down sends requests elsewhere, and what it has begun goes on.
func TestRequestsGoElsewhereWhenAServerLeaves(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	server, client, transport := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			rw.Header().Set("Connection", "close") // HTTP/2's server says GOAWAY
			return
		}
		rw.(http.Flusher).Flush()
		<-finish
		_, _ = io.WriteString(rw, "all")
	})
	receiver := newRecorder()
	follow(t, get(t, t.Context(), client, server.URL+"/lasts"), receiver)
	first := transport.all()[0]
	_, _ = io.Copy(io.Discard, get(t, t.Context(), client, server.URL+"/leave").Body)
	for !first.isDone() {
		runtime.Gosched()
	}
	_, _ = io.Copy(io.Discard, get(t, t.Context(), client, server.URL+"/leave").Body)
	if all := transport.all(); len(all) != 1 || all[0] == first {
		t.Errorf("%d connections, the first one of them: %t", len(all), all[0] == first)
	}
	close(finish)
	if err := receiver.ended(t); err != nil || receiver.got.String() != "all" {
		t.Errorf("%q, error %v", receiver.got.String(), err)
	}
	<-first.done
}

// A server that no longer answers is noticed.
func TestHungServerIsNoticed(t *testing.T) {
	t.Parallel()
	server, client, transport := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	var hangs atomic.Bool
	transport.IdleTimeout = time.Second
	transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &hanging{Conn: c, hangs: &hangs}, err
	}
	receiver := newRecorder()
	follow(t, get(t, t.Context(), client, server.URL), receiver)
	// As long as it answers, silence is no reason.
	select {
	case err := <-receiver.end:
		t.Fatalf("ended with %v", err)
	case <-time.After(3 * transport.IdleTimeout):
	}
	hangs.Store(true)
	if err := receiver.ended(t); err == nil || !strings.Contains(err.Error(), "silent") {
		t.Errorf("ended with %v", err)
	}
}

// hanging is a connection on which nothing more arrives at the server.
type hanging struct {
	net.Conn
	hangs *atomic.Bool
}

func (h *hanging) Write(p []byte) (int, error) {
	if h.hangs.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func TestWhatCannotBeMultiplexed(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // HTTP/1.1 alone
	t.Cleanup(server.Close)
	for _, tc := range []struct{ name, method, url, body, want string }{
		{"a write", http.MethodPost, "https://127.0.0.1/", "x", "only GET"},
		{"a body", http.MethodGet, "https://127.0.0.1/", "x", "only GET"},
		{"plain HTTP", http.MethodGet, "http://127.0.0.1/", "", "only GET"},
		{"a server of HTTP/1.1", http.MethodGet, server.URL, "", "no application protocol"},
		{"a server that is away", http.MethodGet, "https://127.0.0.1:1/", "", "connecting to 127.0.0.1:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), tc.method, tc.url, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &Transport{TLS: trust(server)}}
			if _, err := client.Do(request); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

// A config that needs more gets an ordinary client.
func TestClientFor(t *testing.T) {
	t.Parallel()
	server, _, _ := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, r.Header.Get("Authorization"))
	})
	plain := httptest.NewServer(server.Config.Handler)
	defer plain.Close()
	encoded := rest.TLSClientConfig{CAData: pemOf(server)}
	for _, tc := range []struct {
		name        string
		config      rest.Config
		multiplexed bool
	}{
		{"https", rest.Config{Host: server.URL, TLSClientConfig: encoded, BearerToken: "token"}, true},
		{"http", rest.Config{Host: plain.URL, BearerToken: "token"}, false},
		{"a transport of its own", rest.Config{Host: server.URL, Transport: server.Client().Transport, BearerToken: "token"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, err := ClientFor(&tc.config)
			if err != nil {
				t.Fatal(err)
			}
			body, err := client.Get().AbsPath("/api").Stream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(body)
			if _, multiplexed := body.(*Response); err != nil || string(content) != "Bearer token" || multiplexed != tc.multiplexed {
				t.Errorf("%q by a %T, error %v", content, body, err)
			}
			_ = body.Close()
		})
	}
}

func pemOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
