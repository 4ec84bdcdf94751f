package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/klog/v2"
)

const (
	// pollInterval bounds how late a change is seen whose notification got lost.
	pollInterval = time.Second
	// tailLimit is how many changes one query of the log fetches.
	tailLimit = 1000
	// relistenDelay separates attempts to reach the server.
	relistenDelay = 200 * time.Millisecond
	// silenceInterval is how long no notification may come before the connection has to
	// prove that it works.
	silenceInterval = 10 * time.Second
)

// follow brings changes of other replicas into the hub: when told that the hub lags,
// and to be safe at an interval. The log is the truth, notifications are hints.
func (d *Database) follow(ctx context.Context) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	reachable, limit := true, tailLimit
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-d.hub.lagging:
			if !d.hub.lags() {
				continue
			}
		}
		err := d.catchUp(ctx, limit)
		if limit = tailLimit; d.unanswered(err) {
			limit = 1 // for the case that it was too much for the time
			// The others may lead to where nobody answers as well.
			d.pool.Reset()
		}
		if err != nil && reachable && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Reading changes from the database failed, will keep trying")
		}
		reachable = err == nil
	}
}

// unanswered reports whether the log was not read because nobody answered in time. To
// wait for a connection in vain is no sign of that while others use all of them.
func (d *Database) unanswered(err error) bool {
	if errors.As(err, new(notSentError)) && d.pool.Stat().IdleConns() == 0 {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// catchUp reads what the hub misses of the log, in parts that grow from a limit to
// tailLimit. Our own changes that wait for those of others are not read back.
func (d *Database) catchUp(ctx context.Context, limit int) error {
	for {
		begin := time.Now()
		last, below := d.hub.gap()
		changes, at, err := d.tail(ctx, last, below, limit)
		if err != nil {
			return fmt.Errorf("reading the log after revision %d: %w", last, err)
		}
		d.hub.compacted(at.compact)
		if brokenOff(last, changes, at) {
			klog.FromContext(ctx).Info("Revisions jumped, restarting all watches",
				"seen", last, "current", at.rev)
			d.hub.restart(at)
			d.caughtUp.Store(&begin)
			return nil
		}
		d.hub.publish(changes)
		if d.hub.position().rev >= at.rev {
			d.caughtUp.Store(&begin)
			return nil
		}
		limit = min(2*limit, tailLimit)
	}
}

// brokenOff reports whether the log does not continue densely after last: the counter
// jumped, or what came next is no longer kept.
func brokenOff(last int64, changes []*change, at position) bool {
	if len(changes) == 0 {
		return at.rev != last
	}
	return changes[len(changes)-1].rev != last+int64(len(changes))
}

// listen waits on a connection of its own for notifications from other replicas.
func (d *Database) listen(ctx context.Context) {
	for {
		err := d.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		klog.FromContext(ctx).V(2).Info("Lost the connection that listens for changes, reconnecting", "err", err)
		if !sleep(ctx, relistenDelay) {
			return
		}
	}
}

func (d *Database) listenOnce(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{d.channel}.Sanitize()); err != nil {
		return err
	}
	d.peers.join()
	d.hub.poke() // changes made while nobody listened
	for {
		notification, err := waitForNotification(ctx, conn)
		if err != nil {
			return err
		}
		if notification != nil && d.peers.hear(notification.Payload) {
			d.hub.poke()
		}
	}
}

// waitForNotification returns nil if none came for a while and the connection works.
func waitForNotification(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, silenceInterval)
	defer cancel()
	notification, err := conn.WaitForNotification(waiting)
	if err == nil || ctx.Err() != nil || waiting.Err() == nil {
		return notification, err
	}
	pinging, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return nil, conn.Ping(pinging)
}
