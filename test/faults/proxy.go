package faults

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// proxy stands between one replica and the server. It is what fails when the network
// does.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string // the server's socket
	links  map[*link]bool
	closed bool
	gate   chan struct{} // closed while bytes may pass
	lose   int           // how many answers to swallow, each with its connection
}

// abandonedFor is how long the server keeps a dead connection.
const abandonedFor = 5 * time.Second

// link is one connection through a proxy.
type link struct {
	client, server net.Conn
	dead           bool          // swallows everything, and tells nobody
	gate           chan struct{} // closed while bytes may pass
}

// newProxy starts a proxy to the server that listens in a folder.
func newProxy(socketDir string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting proxy: %w", err)
	}
	p := &proxy{listener: listener, links: map[*link]bool{}, gate: make(chan struct{})}
	close(p.gate)
	p.redirect(socketDir)
	go p.serve()
	return p, nil
}

// dsn leads through the proxy. Parameters are those of a connection string.
func (p *proxy) dsn(parameters url.Values) string {
	query := url.Values{"sslmode": {"disable"}, "user": {"postgres"}}
	for name, values := range parameters {
		query[name] = values
	}
	return (&url.URL{
		Scheme: "postgres", Host: p.listener.Addr().String(), Path: "postgres", RawQuery: query.Encode(),
	}).String()
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.connect(client)
	}
}

func (p *proxy) connect(client net.Conn) {
	p.wait(nil)
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("unix", target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, gate: make(chan struct{})}
	close(l.gate)
	p.mu.Lock()
	if p.closed {
		_, _ = client.Close(), server.Close()
	}
	p.links[l] = true
	p.mu.Unlock()
	go p.pump(l, client, server)
	go p.pump(l, server, client)
}

// pump carries bytes one way until either side ends.
func (p *proxy) pump(l *link, from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.wait(l)
		dead, swallow := p.fate(l, from == l.server && n > 0)
		switch {
		case dead && err != nil:
			return
		case dead:
			continue
		case swallow, err != nil:
			p.end(l)
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil && from == l.server {
			p.end(l)
			return
		}
	}
}

// fate tells what is to be done with bytes.
func (p *proxy) fate(l *link, answer bool) (dead, swallow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if swallow = answer && p.lose > 0 && !l.dead; swallow {
		p.lose--
	}
	return l.dead, swallow
}

// wait holds up what is to pass the proxy, on a connection if there is one yet.
func (p *proxy) wait(l *link) {
	p.mu.Lock()
	gate, own := p.gate, p.gate
	if l != nil {
		own = l.gate
	}
	p.mu.Unlock()
	<-gate
	<-own
}

func (p *proxy) end(l *link) {
	_, _ = l.client.Close(), l.server.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// redirect sends new connections to another server.
func (p *proxy) redirect(socketDir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = socketDir + "/.s.PGSQL.5432"
}

// cut ends all connections.
func (p *proxy) cut() {
	p.each(func(l *link) { _, _ = l.client.Close(), l.server.Close() })
}

// cutLate ends all connections towards the replica. What is under way on them reaches
// the server when the function is called that is returned. New connections work.
func (p *proxy) cutLate(collect func()) (deliver func()) {
	gate := make(chan struct{})
	p.each(func(l *link) { l.gate = gate })
	collect()
	p.each(func(l *link) {
		if l.gate == gate {
			_ = l.client.Close()
		}
	})
	return func() { close(gate) }
}

// abandon makes all connections dead: no byte passes, as if the machine at the other
// end were gone. The server finds out after a while, the replica is never told. New
// connections work.
func (p *proxy) abandon() {
	p.each(func(l *link) {
		l.dead = true
		time.AfterFunc(abandonedFor, func() { _ = l.server.Close() })
	})
}

// each calls f for all connections that are not dead.
func (p *proxy) each(f func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if !l.dead {
			f(l)
		}
	}
}

// loseAnswers swallows the next n answers of the server and ends their connections.
func (p *proxy) loseAnswers(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// stall holds all bytes back until heal.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default: // stalled already
	}
}

// heal ends stall and loseAnswers.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = 0
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// close ends the proxy and all its connections.
func (p *proxy) close() {
	_ = p.listener.Close()
	p.heal()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for l := range p.links {
		_, _ = l.client.Close(), l.server.Close()
	}
}
