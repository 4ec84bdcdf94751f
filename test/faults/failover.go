package faults

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres"
)

// jump is a failover.
type jump struct {
	generation int64 // the last of keys that were used before
	known      int64 // a revision that was acknowledged, and lost
	asked      int64 // before known was the latest
	killed     int64 // when the old server was gone
}

// failOver promotes a standby that has not got the last writes.
func (n *nemesis) failOver(ctx context.Context) error {
	standby, err := n.cluster.primary.StartStandby()
	if err != nil {
		return err
	}
	if err := n.cluster.waitFor(ctx, "exists (select from pg_stat_replication where state = 'streaming')"); err != nil {
		standby.Remove()
		return err
	}
	n.wait(ctx, 50, 200)
	if err := standby.Detach(ctx); err != nil {
		standby.Remove()
		return err
	}
	if err := n.cluster.waitFor(ctx, "not exists (select from pg_stat_replication)"); err != nil {
		standby.Remove()
		return err
	}
	n.wait(ctx, 100, 400)
	j := jump{asked: n.now()}
	if j.known, err = n.auditor.reach(ctx); err != nil {
		standby.Remove()
		return err
	}

	old := n.cluster.primary
	old.Kill()
	j.killed = n.now()
	j.generation = n.generation.Load()
	n.nextGeneration()
	n.jumps = append(n.jumps, j)
	if err := standby.Promote(ctx); err != nil {
		standby.Remove()
		return err
	}
	n.cluster.primary = standby
	old.Remove()
	if err := n.beginEra(ctx, standby.DSN()); err != nil {
		return err
	}
	n.failovers.Add(1)
	for _, p := range append(n.proxies(), n.audits.proxy) {
		p.redirect(standby.SocketDir())
		p.cut()
	}
	var checking sync.WaitGroup
	for _, r := range n.replicas {
		checking.Go(func() { n.checkTold(context.WithoutCancel(ctx), r, j.known) })
	}
	checking.Wait()
	return nil
}

// beginEra tells the auditor what a new server starts with, before others write to it.
func (n *nemesis) beginEra(ctx context.Context, dsn string) error {
	db, err := open(ctx, postgres.Config{ConnString: dsn})
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := podStorage(db)
	if err != nil {
		return err
	}
	return n.auditor.begin(ctx, s)
}

// checkTold requires that a client which goes on from a lost revision is told to start
// over.
func (n *nemesis) checkTold(ctx context.Context, r *replica, lost int64) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	err := retry(ctx, func() error {
		_, _, err := list(ctx, r, prefix, storage.Everything, lost)
		if err == nil {
			n.found.Add("lost revision served", "replica %d lists revision %d", r.number, lost)
		}
		if apierrors.IsResourceExpired(err) || err == nil {
			return nil
		}
		return err
	})
	if err != nil {
		n.found.Add("lost revision served", "replica %d: a list at %d is answered by %v", r.number, lost, err)
	}
	err = retry(ctx, func() error { return watchOnce(ctx, r, lost) })
	if err != nil {
		n.found.Add("lost revision served", "replica %d: a watch from %d is answered by %v", r.number, lost, err)
	}
}

// watchOnce returns nil if a watch from a revision is told that it expired.
func watchOnce(ctx context.Context, r *replica, rev int64) error {
	w, err := r.Watch(ctx, prefix, storage.ListOptions{
		ResourceVersion: strconv.FormatInt(rev, 10), Recursive: true, Predicate: storage.Everything,
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	e, open := <-w.ResultChan()
	status, ok := e.Object.(*metav1.Status)
	switch {
	case !open:
		return fmt.Errorf("the watch ended: %w", context.Cause(ctx))
	case !ok:
		return fmt.Errorf("event %s %v", e.Type, e.Object)
	case status.Reason == metav1.StatusReasonExpired:
		return nil
	}
	return &apierrors.StatusError{ErrStatus: *status}
}
