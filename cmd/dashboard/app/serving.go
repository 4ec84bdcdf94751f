package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxHeader has room for a session in its largest form.
	maxHeader = 64 << 10
	// shutdownGrace is for requests under way. Watches are cut off at its end.
	shutdownGrace = 5 * time.Second
	// certificateAge is how long a certificate is served before its files are read
	// again.
	certificateAge = time.Minute
)

// serve answers on all addresses until ctx is done.
func serve(ctx context.Context, o *Options, dashboard, health, metrics http.Handler) error {
	main := newServer(dashboard)
	if o.TLSCertFile != "" {
		pair := &certificate{certFile: o.TLSCertFile, keyFile: o.TLSKeyFile}
		if _, err := pair.get(nil); err != nil {
			return err
		}
		main.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range []struct {
		address string
		server  *http.Server
	}{{o.BindAddress, main}, {o.HealthBindAddress, newServer(health)}, {o.MetricsBindAddress, newServer(metrics)}} {
		if s.address == "" {
			continue
		}
		listener, err := net.Listen("tcp", s.address)
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		klog.FromContext(ctx).Info("Listening", "address", listener.Addr())
		group.Go(func() error { return serveOn(ctx, s.server, listener, o.ShutdownDelay) })
	}
	return group.Wait()
}

// newServer returns a server without a limit for the whole answer, as watches have
// none; the dashboard limits every single write.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader}
}

// serveOn serves until ctx is done, goes on for delay, and returns when what had
// begun has ended.
func serveOn(ctx context.Context, server *http.Server, listener net.Listener, delay time.Duration) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		<-time.After(delay)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	}()
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	}
	<-stopped
	return nil
}

// certificate is a pair of files that may be replaced.
type certificate struct {
	certFile, keyFile string

	mu   sync.Mutex
	pair *tls.Certificate
	read time.Time
}

// get returns the certificate of the files, or the last good one.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && time.Since(c.read) < certificateAge {
		return c.pair, nil
	}
	c.read = time.Now()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		if c.pair == nil {
			return nil, fmt.Errorf("reading the serving certificate: %w", err)
		}
		klog.Background().Error(err, "Keeping the certificate from before")
		return c.pair, nil
	}
	c.pair = &pair
	return c.pair, nil
}
