// Package multiplex is an HTTP/2 client for responses that last: it holds thousands
// of watches over few connections, without a goroutine or a buffer for one that is
// silent.
//
// The client of the standard library and golang.org/x/net/http2 keeps a goroutine, a
// pipe and the request for as long as a response lasts, and its reader one more
// goroutine: some 18 KiB for each watch. Here the connection's goroutine hands what
// comes to the response's Receiver, so that a silent watch takes less than one KiB.
//
// The protocol is RFC 9113, as far as it concerns GET requests without a body.
package multiplex

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Transport sends GET requests over HTTP/2 and TLS. The body of each response is a
// *Response, which can be read, or followed without a goroutine. It is safe for
// concurrent use. The zero value is ready.
type Transport struct {
	// TLS says how servers are to be trusted, and who asks.
	TLS *tls.Config
	// Dial makes connections; by default a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// IdleTimeout is how long a server may be silent until it is asked whether it is
	// there, and how long it has to answer; 30 s by default.
	IdleTimeout time.Duration

	mu      sync.Mutex
	conns   map[string][]*conn // by address
	dialing chan struct{}      // holds a token while a connection is made
}

// errNotTaken is of a request that the server has not begun to work on.
var errNotTaken = errors.New("the connection takes no more requests")

// RoundTrip implements http.RoundTripper. It refuses what is no GET by https without
// a body. As long as the response lasts, the end of the request's context ends it.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.URL.Scheme != "https" || r.Body != nil && r.Body != http.NoBody {
		return nil, fmt.Errorf("%s %s by %s cannot be multiplexed: only GET without a body by https", r.Method, r.URL.Path, r.URL.Scheme)
	}
	for {
		c, err := t.connection(r.Context(), address(r))
		if err != nil {
			return nil, err
		}
		response, err := c.send(r)
		if !errors.Is(err, errNotTaken) {
			return response, err
		}
	}
}

func address(r *http.Request) string {
	if r.URL.Port() != "" {
		return r.URL.Host
	}
	return net.JoinHostPort(r.URL.Hostname(), "443")
}

// connection returns one with a place for a request, which it has taken.
func (t *Transport) connection(ctx context.Context, address string) (*conn, error) {
	if c := t.vacant(address); c != nil {
		return c, nil
	}
	// One at a time: each has places for many that wait.
	select {
	case t.dialing <- struct{}{}:
		defer func() { <-t.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c := t.vacant(address); c != nil {
		return c, nil
	}
	c, err := t.connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[address] = append(t.conns[address], c)
	return c, nil
}

// vacant returns a connection with a place, which it takes, or nil.
func (t *Transport) vacant(address string) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns, t.dialing = map[string][]*conn{}, make(chan struct{}, 1)
	}
	t.conns[address] = slices.DeleteFunc(t.conns[address], (*conn).isDone)
	for _, c := range t.conns[address] {
		if c.reserve() {
			return c
		}
	}
	return nil
}

// connect makes a connection, and takes a place.
func (t *Transport) connect(ctx context.Context, address string) (*conn, error) {
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.TLS != nil {
		config = t.TLS.Clone()
	}
	config.NextProtos = []string{http2.NextProtoTLS}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(raw, config)
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	c, err := t.handshake(ctx, secure)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	go c.read()
	go c.guard(t.idleTimeout())
	return c, nil
}

func (t *Transport) handshake(ctx context.Context, secure *tls.Conn) (*conn, error) {
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if protocol := secure.ConnectionState().NegotiatedProtocol; protocol != http2.NextProtoTLS {
		return nil, fmt.Errorf("the server speaks %q, not %q", protocol, http2.NextProtoTLS)
	}
	return greet(secure)
}

func (t *Transport) idleTimeout() time.Duration {
	if t.IdleTimeout > 0 {
		return t.IdleTimeout
	}
	return 30 * time.Second
}
