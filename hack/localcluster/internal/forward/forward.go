// Package forward passes TCP connections on.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"k8s.io/klog/v2"
)

// Serve accepts connections and passes each on to target until ctx ends, then
// closes all of them and returns nil once they are done.
func Serve(ctx context.Context, listener net.Listener, target string) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		connection, err := listener.Accept()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting connections for %s: %w", target, err)
		}
		connections.Go(func() {
			if err := pass(ctx, connection, target); err != nil {
				klog.FromContext(ctx).V(2).Info("Forwarded connection broke", "target", target, "err", err)
			}
		})
	}
}

// pass copies both directions until both have ended. The end of one is passed
// on as such, so that a peer may still be answered after it has said all.
func pass(ctx context.Context, client net.Conn, target string) error {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() {
		client.Close()
		server.Close()
	})
	defer stop()
	ends := make(chan error, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, err := io.Copy(way[1], way[0])
			if half, ok := way[1].(*net.TCPConn); ok {
				err = errors.Join(err, half.CloseWrite())
			}
			ends <- err
		}()
	}
	return errors.Join(<-ends, <-ends)
}
