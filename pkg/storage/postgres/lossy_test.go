package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apiserver/pkg/apis/example"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// lossyProxy stands between a Database and its server. When told to, it swallows the
// next answer of the server and breaks the connection it was for.
type lossyProxy struct {
	server string       // socket
	dead   atomic.Int64 // connections up to this one pass nothing on
	opened atomic.Int64
	lose   atomic.Bool
	lost   atomic.Int64
}

// startLossyProxy returns a proxy and the connection string that leads through it.
func startLossyProxy(t *testing.T, dsn string) (*lossyProxy, string) {
	t.Helper()
	target, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := target.Query()
	p := &lossyProxy{server: filepath.Join(query.Get("host"), ".s.PGSQL.5432")}
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go p.serve(listener)
	query.Set("host", dir)
	target.RawQuery = query.Encode()
	return p, target.String()
}

func (p *lossyProxy) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		number := p.opened.Add(1)
		go func() {
			_, _ = io.Copy(server, client) // ends with either side
			_ = server.Close()
		}()
		go p.answer(number, client, server)
	}
}

// abandon makes all connections dead, as if the server was gone without a word. Others
// can be made.
func (p *lossyProxy) abandon() { p.dead.Store(p.opened.Load()) }

func (p *lossyProxy) answer(number int64, client, server net.Conn) {
	defer func() { _ = client.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if number <= p.dead.Load() {
			continue
		}
		if p.lose.CompareAndSwap(true, false) {
			p.lost.Add(1)
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestLostAnswers loses answers while writers count. The server is alive, so that the
// outcome of every write can be found out: what the writers were told must be exact.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartServer(t)
	proxy, dsn := startLossyProxy(t, postgrestest.NewSchema(t, server.DSN()))
	f := newFixtureAt(t, dsn)

	const writers, losses = 4, 40
	tallies, acknowledged, stop := startCounting(t, f.Storage, writers)
	for proxy.lost.Load() < losses {
		waitForMore(t, acknowledged, 10)
		proxy.lose.Store(true)
	}
	stop()
	proxy.lose.Store(false)

	for i, tally := range tallies {
		// The last step may have been cut off by the end of the test.
		got := counter(getPod(t, f.Storage, fmt.Sprintf("pod-%d", i)))
		if got < tally.acknowledged || got > tally.acknowledged+min(tally.unknown, 1) {
			t.Errorf("pod-%d counts %d, but %d steps were acknowledged", i, got, tally.acknowledged)
		}
	}
	checkDense(t, f.db)
}

// TestDeadConnections has all connections of a replica lead nowhere, which nobody is
// told, while it reads what another writes. It must find out and make new ones.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartServer(t)
	direct := postgrestest.NewSchema(t, server.DSN())
	proxy, dsn := startLossyProxy(t, direct)
	f, other := newFixtureAt(t, dsn), newFixtureAt(t, direct)
	w := watchPods(t, f.Storage, createPod(t, f.Storage, "before").ResourceVersion)

	ctx, stop := context.WithCancel(t.Context())
	var y tally
	var acknowledged atomic.Int64
	var writing sync.WaitGroup
	writing.Go(func() { y.count(ctx, other.Storage, "elsewhere", &acknowledged) })
	for range 5 { // once at least it is just waiting for an answer
		waitForMore(t, &acknowledged, 10)
		proxy.abandon()
	}
	waitForMore(t, &acknowledged, 10)
	stop()
	writing.Wait()

	seen := 0
	for seen < y.acknowledged {
		pod, ok := nextEvent(t, w).Object.(*example.Pod)
		if !ok || counter(pod) != seen+1 {
			t.Fatalf("after %d writes, got %v", seen, pod)
		}
		seen++
	}
	getPod(t, f.Storage, "elsewhere")
	createPod(t, f.Storage, "after")
}
