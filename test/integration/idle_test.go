package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/harness"
)

// answersAtOnce fails the test unless the server answers within a second.
func answersAtOnce(t *testing.T, server *harness.Server) {
	t.Helper()
	begin := time.Now()
	for _, path := range []string{"/livez", storesPath + "?resourceVersion=0", storesPath} {
		if status, body := send(t, server.As(env.Admin()), http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("GET %s: status %d: %s", path, status, body)
		}
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("three answers took %s", took)
	}
}

// Ten thousand clients that watch and hear nothing cost the server little memory and no
// answers, and all of them hear of what happens.
func TestIdleWatches(t *testing.T) {
	const watches, openers, maxKiB = 10_000, 200, 128
	namespace, engine := env.NewNamespace(t), newEngine(t)
	server := env.StartServer(t, env.Database())
	answersAtOnce(t, server)
	config := server.As(env.Admin())
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	before := residentMiB(t, server.PID())
	ctx, cancel := context.WithCancel(t.Context())
	var open, heard, failed atomic.Int64
	var all sync.WaitGroup
	opening := make(chan struct{}, openers)
	begin := time.Now()
	for range watches {
		opening <- struct{}{}
		all.Go(func() {
			err := watchOnce(ctx, client, config.Host+"/apis/platform.dev/v1alpha1/namespaces/"+namespace+"/stores?watch=true&resourceVersion=0",
				func() { open.Add(1); <-opening }, func() { heard.Add(1) })
			if err != nil && ctx.Err() == nil {
				failed.Add(1)
				t.Error(err)
			}
		})
	}
	harness.Eventually(t, patience, "all watches to be open", func(context.Context) (bool, error) { return open.Load()+failed.Load() == watches, nil })
	took := time.Since(begin)
	perWatch := float64(residentMiB(t, server.PID())-before) * 1024 / watches
	t.Logf("%d watches opened in %s on %d processors, %.1f KiB each", watches, took.Round(time.Millisecond), runtime.NumCPU(), perWatch)
	if perWatch > maxKiB {
		t.Errorf("a watch takes %.1f KiB, want at most %d", perWatch, maxKiB)
	}
	answersAtOnce(t, server)
	create(t, namespace, newStore("flowers", engine))
	begin = time.Now()
	harness.Eventually(t, patience, "all watches to hear", func(context.Context) (bool, error) { return heard.Load() == watches, nil })
	t.Logf("all heard of a new store within %s", time.Since(begin).Round(time.Millisecond))
	answersAtOnce(t, server)
	cancel()
	all.Wait()
}

// watchOnce opens a watch, tells when it is open, and when it has heard of something.
func watchOnce(ctx context.Context, client *http.Client, url string, open, heard func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	open()
	if err != nil {
		return fmt.Errorf("opening a watch: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("opening a watch: %s", response.Status)
	}
	const added = `{"type":"ADDED",`
	first := make([]byte, len(added))
	if _, err := io.ReadFull(response.Body, first); err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	if string(first) != added {
		return fmt.Errorf("heard %q, want %q", first, added)
	}
	heard()
	_, _ = io.Copy(io.Discard, response.Body)
	return nil
}

// Clients that send their requests as slowly as they can keep nobody else waiting, and
// are not waited for. What is waited for here, the server's patience, passes while other
// tests run: their turn comes before this one's second part.
func TestSlowClients(t *testing.T) {
	const clients, maxMiB = 500, 128
	server := env.StartServer(t, env.Database())
	answersAtOnce(t, server)
	before := residentMiB(t, server.PID())
	host, err := url.Parse(server.As(env.Admin()).Host)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := rest.TLSConfigFor(server.As(env.Admin()))
	if err != nil {
		t.Fatal(err)
	}
	settings.NextProtos = []string{"http/1.1"}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	ended := make(chan error, clients)
	var begun sync.WaitGroup
	begun.Add(clients)
	for i := range clients {
		// Half of them never end their header, and half their body.
		begin := "GET " + storesPath + " HTTP/1.1\r\nHost: a\r\nX-Slow: "
		if i%2 == 0 {
			begin = "POST " + strings.Replace(storesPath, "/stores", "/namespaces/default/stores", 1) + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
		}
		go func() { ended <- drip(ctx, host.Host, settings, begin, begun.Done) }()
	}
	begun.Wait()
	for range 5 {
		answersAtOnce(t, server)
	}
	if more := residentMiB(t, server.PID()) - before; more > maxMiB {
		t.Errorf("%d slow clients take %d MiB, want at most %d", clients, more, maxMiB)
	}
	t.Parallel()
	for range clients {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	answersAtOnce(t, server)
}

// drip sends a byte a second until the server has had enough, and tells when it has begun.
// It fails if the server never has.
func drip(ctx context.Context, address string, settings *tls.Config, begin string, begun func()) error {
	tell := sync.OnceFunc(begun)
	defer tell()
	conn, err := (&tls.Dialer{Config: settings}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, begin); err != nil {
		return fmt.Errorf("beginning a request: %w", err)
	}
	tell()
	go func() {
		for range time.Tick(time.Second) {
			if _, err := io.WriteString(conn, " "); err != nil {
				return
			}
		}
	}()
	_, _ = io.Copy(io.Discard, conn) // until the server closes it
	if ctx.Err() != nil {
		return errors.New("the server still waits for a slow client")
	}
	return nil
}
