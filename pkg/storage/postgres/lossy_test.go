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

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// lossyProxy stands between a Database and its server. When told to, it swallows the
// next answer of the server and breaks the connection it was for.
type lossyProxy struct {
	server string // socket
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
		go func() {
			_, _ = io.Copy(server, client) // ends with either side
			_ = server.Close()
		}()
		go p.answer(client, server)
	}
}

func (p *lossyProxy) answer(client, server net.Conn) {
	defer func() { _ = client.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
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
	tallies := make([]tally, writers)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing sync.WaitGroup
	var acknowledged atomic.Int64
	for i := range writers {
		writing.Go(func() { tallies[i].count(ctx, f.Storage, fmt.Sprintf("pod-%d", i), &acknowledged) })
	}
	for proxy.lost.Load() < losses {
		waitForMore(t, &acknowledged, 10)
		proxy.lose.Store(true)
	}
	stop()
	writing.Wait()
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
