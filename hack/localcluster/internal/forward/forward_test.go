package forward

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

func TestServe(t *testing.T) {
	t.Parallel()
	target := listen(t)
	go func() {
		for {
			connection, err := target.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				question, _ := io.ReadAll(connection) // Only ends when the client's half close arrives.
				_, _ = connection.Write(append([]byte("answer to "), question...))
			}()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	front := listen(t)
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, front, target.Addr().String()) }()

	connection := dial(t, front)
	if _, err := connection.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := connection.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil || string(answer) != "answer to question" {
		t.Errorf("got %q, %v", answer, err)
	}

	open := dial(t, front)
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("an open connection keeps Serve from ending")
	}
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func dial(t *testing.T, listener net.Listener) *net.TCPConn {
	t.Helper()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return connection.(*net.TCPConn)
}
