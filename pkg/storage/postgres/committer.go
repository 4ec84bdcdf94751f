package postgres

import (
	"context"
	"sync"

	"platform.dev/stores/pkg/storage/claims"
)

const (
	// batchesInFlight lets one batch wait for the counter's row lock while the one
	// before it is being flushed to disk.
	batchesInFlight = 2
	// maxBatchWrites and maxBatchBytes bound one batch, hence how long it holds the lock.
	maxBatchWrites = 256
	maxBatchBytes  = 8 << 20
)

// write is a change of one key on the condition that the key is at revision expect, or
// absent for a create.
type write struct {
	kind    kind
	key     string
	expect  int64 // 0 for a create
	value   []byte
	ttl     int64 // seconds; 0 lives forever, below 0 keeps the expiry of the key
	actor   string
	auditID string         // of the request that wants the write
	verb    string         // of that request
	source  string         // addresses that it passed, with commas between
	claims  *claims.Change // nil if the write changes none
	object  *object        // of the value written, or removed by a delete; nil if not known

	// rivals want to change the key from the same revision: the batch decides on them too.
	rivals []*write

	refused error   // why its claims were, set before it is answered
	lost    *change // what came before it if that is known, set before it is answered

	ctx  context.Context
	done chan outcome
}

// outcome of a write: the revision it was given, or 0 if its condition did not hold,
// or an error that says that nothing was written, unless it is a timeout. Refused claims
// are such an error.
type outcome struct {
	rev int64
	err error
}

// committer groups writes into batches. There is no timer: whatever has arrived when a
// batch may be sent goes into it, so that a lone writer does not wait and the batch
// grows with the load.
type committer struct {
	db *Database

	mu      sync.Mutex
	arrived *sync.Cond
	queue   []*write
	closed  bool
}

func newCommitter(db *Database) *committer {
	c := &committer{db: db}
	c.arrived = sync.NewCond(&c.mu)
	return c
}

// submit queues a write. Exactly one outcome will be sent; the caller need not wait.
func (c *committer) submit(ctx context.Context, w *write) <-chan outcome {
	w.ctx = ctx
	w.done = make(chan outcome, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		w.done <- outcome{err: unavailable(errClosed)}
		return w.done
	}
	c.queue = append(c.queue, w)
	c.arrived.Signal()
	return w.done
}

// run commits batches until the committer is closed and its queue is empty.
func (c *committer) run(ctx context.Context) {
	for {
		batch := c.take()
		if batch == nil {
			return
		}
		c.db.commit(ctx, batch)
	}
}

// take waits for writes and returns the next batch, nil after close. A batch has at
// most one write per key. Others on the same condition are its rivals; any else stays in
// the queue, because it could not know the revision it depends on.
func (c *committer) take() []*write {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.queue) == 0 && !c.closed {
			c.arrived.Wait()
		}
		if len(c.queue) == 0 {
			return nil
		}
		batch, rest := split(c.queue)
		c.queue = rest
		if len(rest) > 0 {
			c.arrived.Signal()
		}
		if len(batch) > 0 {
			return batch
		}
	}
}

// split takes a batch from the queue. Writes whose caller has gone are answered.
func split(queue []*write) (batch, rest []*write) {
	keys := make(map[string]*write, min(len(queue), maxBatchWrites))
	bytes := 0
	for i, w := range queue {
		if len(batch) == maxBatchWrites || bytes > maxBatchBytes {
			return batch, append(rest, queue[i:]...)
		}
		first := keys[w.key]
		switch {
		case w.ctx.Err() != nil:
			w.done <- outcome{err: w.ctx.Err()}
		case first != nil && first.decides(w):
			first.rivals = append(first.rivals, w)
		case first != nil:
			rest = append(rest, w)
		default:
			keys[w.key] = w
			bytes += len(w.value)
			batch = append(batch, w)
		}
	}
	return batch, rest
}

// decides reports whether other, of the same key, can no longer succeed once w has been
// decided on. A delete of what is not there fails and says nothing of a create.
func (w *write) decides(other *write) bool {
	return w.expect == other.expect && (w.expect != 0 || w.kind == created)
}

// requeue puts writes back that a batch has not decided on.
func (c *committer) requeue(writes []*write) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, writes...)
	c.arrived.Signal()
}

// close refuses further writes; those queued are still committed.
func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.arrived.Broadcast()
}
