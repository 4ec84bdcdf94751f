package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReadIndexJoinsTheNextRead holds up a read while others ask: they must share one
// that began after they did.
func TestReadIndexJoinsTheNextRead(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	entered, proceed := make(chan struct{}), make(chan struct{})
	index := readIndex{background: t.Context(), read: func(context.Context) (position, error) {
		rev := reads.Add(1)
		entered <- struct{}{}
		<-proceed
		return position{rev: rev}, nil
	}}
	var all sync.WaitGroup
	ask := func(want int64) {
		read := index.join()
		all.Go(func() {
			if <-read.done; read.at.rev != want {
				t.Errorf("answered by read %d, want %d", read.at.rev, want)
			}
		})
	}
	ask(1)
	<-entered
	for range 10 {
		ask(2)
	}
	proceed <- struct{}{}
	<-entered
	proceed <- struct{}{}
	all.Wait()
	if got := reads.Load(); got != 2 {
		t.Errorf("read %d times, want 2", got)
	}
}

func TestReadIndexLetsRequestsGo(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	index := readIndex{background: t.Context(), read: func(context.Context) (position, error) {
		<-release
		return position{}, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := index.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that the request was canceled", err)
	}
}

// TestReadIndexEndsWithTheDatabase: the database closes without waiting for a server
// that does not answer.
func TestReadIndexEndsWithTheDatabase(t *testing.T) {
	t.Parallel()
	background, stop := context.WithCancel(t.Context())
	index := readIndex{background: background, read: func(ctx context.Context) (position, error) {
		stop()
		<-ctx.Done()
		return position{}, ctx.Err()
	}}
	if _, err := index.get(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that the read was canceled", err)
	}
}
