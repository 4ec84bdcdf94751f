package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/klog/v2"
)

const (
	// pollInterval bounds how late a change is seen whose notification got lost.
	pollInterval = time.Second
	// tailLimit is how many changes one query of the log fetches.
	tailLimit = 1000
	// relistenDelay separates attempts to reach the server.
	relistenDelay = 200 * time.Millisecond
)

// follow brings changes of other replicas into the hub: when told that the hub lags,
// and to be safe at an interval. The log is the truth, notifications are hints.
func (d *Database) follow(ctx context.Context) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	reachable := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-d.hub.lagging:
		}
		err := d.catchUp(ctx)
		if err != nil && reachable && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Reading changes from the database failed, will keep trying")
		}
		reachable = err == nil
	}
}

// catchUp reads the log up to its end.
func (d *Database) catchUp(ctx context.Context) error {
	for {
		last := d.hub.position().rev
		changes, at, err := d.tail(ctx, last, tailLimit)
		if err != nil {
			return fmt.Errorf("reading the log after revision %d: %w", last, err)
		}
		d.hub.compacted(at.compact)
		if brokenOff(last, changes, at) {
			klog.FromContext(ctx).Info("Revisions jumped, restarting all watches",
				"seen", last, "current", at.rev)
			d.hub.restart(at)
			return nil
		}
		d.hub.publish(changes)
		if len(changes) < tailLimit {
			return nil
		}
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
	d.peers.say(joinNotice)
	d.hub.poke() // changes made while nobody listened
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if d.peers.hear(notification.Payload) {
			d.hub.poke()
		}
	}
}
