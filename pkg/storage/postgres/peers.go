package postgres

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// announceInterval is how often a replica tells the others that it is there.
	announceInterval = 5 * time.Second
	// peerTimeout is how long after the last sign of another replica one counts on it.
	peerTimeout = 4 * announceInterval
)

// What notifications say before the name of their sender. Those of changes say nothing.
const (
	joinNotice = "join " // answered by the others
	hereNotice = "here "
)

// peers knows whether other replicas want to be notified of changes. A notification
// that nobody needs wakes our own listener and costs as much as a small commit.
//
// A replica joins when it begins to listen. Who hears of it answers after having begun
// to notify, and the answer has the new one read the log: between them they miss at most
// a batch under way at that moment, which the next one or the poll makes up for. A
// replica too old to send notices is heard of when it writes, and polls until then.
type peers struct {
	origin  string // our own name
	heard   atomic.Int64
	joining atomic.Bool   // the next notice says so
	call    chan struct{} // signals that a notice is to be sent soon
}

func newPeers(origin string) *peers {
	return &peers{origin: origin, call: make(chan struct{}, 1)}
}

// present reports whether there are other replicas.
func (p *peers) present() bool {
	heard := p.heard.Load()
	return heard != 0 && time.Since(time.UnixMilli(heard)) < peerTimeout
}

// hear takes in a notification and reports whether another replica sent it.
func (p *peers) hear(payload string) bool {
	origin, joins := strings.CutPrefix(payload, joinNotice)
	origin = strings.TrimPrefix(origin, hereNotice)
	if origin == p.origin {
		return false
	}
	p.heard.Store(time.Now().UnixMilli())
	if joins {
		p.answer()
	}
	return true
}

// join has the others told soon that this replica listens.
func (p *peers) join() {
	p.joining.Store(true)
	p.answer()
}

// answer has the others told soon that this replica is there.
func (p *peers) answer() {
	select {
	case p.call <- struct{}{}:
	default: // a notice that is still to be sent will do
	}
}

// notice returns the next one to send. To join tells that one is there, too.
func (p *peers) notice() string {
	if p.joining.Swap(false) {
		return joinNotice
	}
	return hereNotice
}

// announce sends notices as they come up, and at an interval.
func (d *Database) announce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.peers.call:
		case <-time.After(announceInterval):
		}
		d.notify(ctx, d.peers.notice())
	}
}

// notify sends a notice. What gets lost is sent again, and the poll does without.
func (d *Database) notify(ctx context.Context, notice string) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, _ = d.pool.Exec(ctx, notifyQuery, d.channel, notice+d.peers.origin)
}

// queueNotify has a batch tell the other replicas, if there are any.
func (d *Database) queueNotify(batch *pgx.Batch) {
	if d.peers.present() {
		batch.Queue(notifyQuery, d.channel, d.peers.origin)
	}
}
