package postgres

import (
	"context"
	"sync"
	"time"
)

// readIndexTimeout bounds one read that requests share.
const readIndexTimeout = 10 * time.Second

// readIndex reads the current revision once for all who ask at about the same time. Who
// asks joins the next read, never one under way: that may have been answered before the
// question, and before a write that the asker knows of.
type readIndex struct {
	background context.Context // of the reads, whoever asks
	read       func(context.Context) (position, error)

	mu      sync.Mutex
	next    *sharedRead // what the next to ask joins, nil if nobody has asked
	reading bool
}

type sharedRead struct {
	done chan struct{} // closed when the rest is set
	at   position
	err  error
}

// get returns a position that the database had after the call.
func (r *readIndex) get(ctx context.Context) (position, error) {
	read := r.join()
	select {
	case <-read.done:
		return read.at, read.err
	case <-ctx.Done():
		return position{}, ctx.Err()
	}
}

func (r *readIndex) join() *sharedRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &sharedRead{done: make(chan struct{})}
	}
	if !r.reading {
		r.reading = true
		go r.run()
	}
	return r.next
}

// run reads as long as there is somebody to read for.
func (r *readIndex) run() {
	for read := r.start(); read != nil; read = r.start() {
		func() {
			ctx, cancel := context.WithTimeout(r.background, readIndexTimeout)
			defer cancel()
			read.at, read.err = r.read(ctx)
		}()
		close(read.done)
	}
}

// start closes the next read to those who have yet to ask.
func (r *readIndex) start() *sharedRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	read := r.next
	r.next = nil
	r.reading = read != nil
	return read
}
