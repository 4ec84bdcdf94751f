package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apiserver/pkg/storage"
)

// fault is one kind of fault. It is injected and healed by the time inject returns.
type fault struct {
	name   string
	inject func(context.Context) error
}

// deck deals the names of all faults in random order, again and again.
type deck struct {
	rng  *rand.Rand
	left []string
}

func (d *deck) next(faults []fault) fault {
	for {
		if len(d.left) == 0 {
			for _, at := range d.rng.Perm(len(faults)) {
				d.left = append(d.left, faults[at].name)
			}
		}
		name := d.left[0]
		d.left = d.left[1:]
		if at := slices.IndexFunc(faults, func(f fault) bool { return f.name == name }); at >= 0 {
			return faults[at]
		}
	}
}

// nemesis injects faults into an episode, one after the other.
type nemesis struct {
	*episode
	rng    *rand.Rand
	faults []fault
}

func newNemesis(e *episode, rng *rand.Rand) *nemesis {
	n := &nemesis{episode: e, rng: rand.New(rand.NewPCG(rng.Uint64(), 3))}
	for _, f := range []fault{
		{"cut connections", n.cut},
		{"late delivery", n.late},
		{"lost answers", n.loseAnswers},
		{"stall", n.stall},
		{"dead connections", n.abandon},
		{"server killed", n.killServer},
		{"backend killed", n.killBackend},
		{"sessions terminated", n.terminate},
		{"foreign lock", n.lock},
		{"pool exhausted", n.flood},
		{"server full", n.exhaust},
		{"worker killed", n.killWorker},
		{"worker paused", n.pauseWorker},
		{"compaction", n.compact},
		{"lost tail", n.failOver},
		{"disk full", n.fillDisk},
		{"clock jump", n.jumpClock},
	} {
		if n.possible(f.name) {
			n.faults = append(n.faults, f)
		} else if n.options.Only == "" {
			n.logf("not possible on this machine: %s", f.name)
		}
	}
	return n
}

// possible tells what this machine can do, and what was asked for.
func (n *nemesis) possible(name string) bool {
	switch {
	case n.options.Only != "":
		return name == n.options.Only
	case name == "disk full":
		return n.cluster.disk != ""
	case name == "clock jump":
		return n.cluster.clockFile != ""
	}
	return true
}

// run injects faults until there were enough of them and the load was enough, or
// something was found.
func (n *nemesis) run(ctx context.Context, operations, sessions int) error {
	enough := func() bool {
		return n.operations.Load() >= int64(operations) && n.sessionCount.Load() >= int64(sessions)
	}
	for injected := 0; (injected < n.options.Faults || !enough()) && n.found.Total() == 0; injected++ {
		n.wait(ctx, 50, int(n.options.Pause.Milliseconds()))
		if err := n.inject(ctx, n.deck.next(n.faults)); err != nil {
			return err
		}
	}
	return nil
}

// injectTimeout bounds one fault.
const injectTimeout = time.Minute

func (n *nemesis) inject(ctx context.Context, f fault) error {
	injecting, cancel := context.WithTimeout(ctx, injectTimeout)
	defer cancel()
	began, calls, refused, givenUp := n.now(), n.operations.Load(), n.refused.Load(), n.givenUp.Load()
	// The server may still suffer from the fault before.
	if err := retry(injecting, func() error { return f.inject(injecting) }); err != nil {
		return fmt.Errorf("fault %q: %w", f.name, err)
	}
	recovering, cancel := context.WithTimeout(ctx, injectTimeout)
	defer cancel()
	if err := n.cluster.ensureRunning(recovering); err != nil {
		return fmt.Errorf("recovering from fault %q: %w", f.name, err)
	}
	n.count[f.name]++
	n.logf("%6.1fs %-20s %4dms, meanwhile %d calls, %d refused, %d given up", float64(began)/1e9, f.name,
		(n.now()-began)/1e6, n.operations.Load()-calls, n.refused.Load()-refused, n.givenUp.Load()-givenUp)
	return nil
}

// wait lets between low and high milliseconds pass.
func (n *nemesis) wait(ctx context.Context, low, high int) {
	pause(ctx, time.Duration(low+n.rng.IntN(high-low))*time.Millisecond)
}

// victims are the proxy of one replica, or those of all.
func (n *nemesis) victims() []*proxy {
	all := n.proxies()
	if n.rng.IntN(3) == 0 {
		return all
	}
	at := n.rng.IntN(len(all))
	return all[at : at+1]
}

func (n *nemesis) cut(ctx context.Context) error {
	for range 3 {
		for _, p := range n.victims() {
			p.cut()
		}
		n.wait(ctx, 10, 200)
	}
	return nil
}

// late ends the connections of a replica while the server has yet to get what it was
// sent, which arrives after the replica has asked on new ones.
func (n *nemesis) late(ctx context.Context) error {
	for range 3 {
		var deliver []func()
		for _, p := range n.victims() {
			deliver = append(deliver, p.cutLate(func() { n.wait(ctx, 2, 20) }))
		}
		n.wait(ctx, 50, 400)
		for _, f := range deliver {
			f()
		}
		n.wait(ctx, 50, 150)
	}
	return nil
}

func (n *nemesis) loseAnswers(ctx context.Context) error {
	for range 5 {
		for _, p := range n.victims() {
			p.loseAnswers(1 + n.rng.IntN(3))
		}
		n.wait(ctx, 20, 100)
	}
	for _, p := range n.proxies() {
		p.heal()
	}
	return nil
}

func (n *nemesis) stall(ctx context.Context) error {
	victims := n.victims()
	for _, p := range victims {
		p.stall()
	}
	n.wait(ctx, 200, 1500)
	for _, p := range victims {
		if n.rng.IntN(2) == 0 {
			p.cut()
		}
		p.heal()
	}
	return nil
}

func (n *nemesis) abandon(ctx context.Context) error {
	for _, p := range n.victims() {
		p.abandon()
	}
	n.wait(ctx, 500, 1500)
	return nil
}

func (n *nemesis) killServer(context.Context) error {
	n.cluster.primary.Kill()
	return n.cluster.primary.Start()
}

// killBackend crashes one session, upon which the server ends all others and recovers.
func (n *nemesis) killBackend(ctx context.Context) error {
	pids, err := n.cluster.backends(ctx)
	if err != nil || len(pids) == 0 {
		return err
	}
	return syscall.Kill(int(pids[n.rng.IntN(len(pids))]), syscall.SIGKILL)
}

func (n *nemesis) terminate(ctx context.Context) error {
	for range 10 {
		pids, err := n.cluster.backends(ctx)
		if err != nil {
			return err
		}
		n.rng.Shuffle(len(pids), func(i, j int) { pids[i], pids[j] = pids[j], pids[i] })
		err = n.cluster.session(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "select pg_terminate_backend(pid) from unnest($1::int[]) as pid", pids[:min(len(pids), 1+n.rng.IntN(4))])
			return err
		})
		if err != nil {
			return err
		}
		n.wait(ctx, 10, 60)
	}
	return nil
}

// lock has another program lock any table for a while.
func (n *nemesis) lock(ctx context.Context) error {
	return n.cluster.session(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select tablename from pg_tables where schemaname = 'public' order by tablename")
		if err != nil {
			return err
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		table := pgx.Identifier{tables[n.rng.IntN(len(tables))]}.Sanitize()
		mode := []string{"share", "exclusive", "access exclusive"}[n.rng.IntN(3)]
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "lock table "+table+" in "+mode+" mode"); err != nil {
				return err
			}
			n.wait(ctx, 200, 1200)
			return nil
		})
	})
}

// flood makes more calls at once than a replica has connections.
func (n *nemesis) flood(ctx context.Context) error {
	r := n.replicas[n.rng.IntN(len(n.replicas))]
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	ended := make(chan struct{})
	const calls = 100
	for range calls {
		go func() {
			defer func() { ended <- struct{}{} }()
			for ctx.Err() == nil {
				_, _, _ = list(ctx, r, prefix, storage.Everything, 0) // for the load alone
			}
		}()
	}
	for range calls {
		<-ended
	}
	return nil
}

// exhaust takes all connections that the server has left, and ends those of the
// replicas.
func (n *nemesis) exhaust(ctx context.Context) error {
	pids, err := n.cluster.backends(ctx)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		_ = syscall.Kill(int(pid), syscall.SIGTERM) // may have ended
	}
	var taken []*pgx.Conn
	for {
		conn, err := pgx.Connect(ctx, n.cluster.primary.DSN())
		if err != nil {
			break
		}
		taken = append(taken, conn)
	}
	n.wait(ctx, 200, 800)
	for _, conn := range taken {
		_ = conn.Close(ctx)
	}
	return nil
}

func (n *nemesis) killWorker(ctx context.Context) error {
	for range 2 {
		n.worker.signal(syscall.SIGKILL)
		n.wait(ctx, 20, 100)
		if err := retry(ctx, n.worker.start); err != nil {
			return err
		}
		n.wait(ctx, 200, 400)
	}
	return nil
}

func (n *nemesis) pauseWorker(ctx context.Context) error {
	n.worker.signal(syscall.SIGSTOP)
	n.wait(ctx, 200, 1500)
	n.worker.signal(syscall.SIGCONT)
	return nil
}

// compact leaves the auditor and most sessions enough of the history.
func (n *nemesis) compact(ctx context.Context) error {
	at, _ := n.auditor.position()
	rev := at - int64(50+n.rng.IntN(500))
	if rev <= n.auditor.current().start {
		return nil
	}
	n.compacted.Store(max(n.compacted.Load(), rev))
	return retry(ctx, func() error { return n.replicas[n.rng.IntN(len(n.replicas))].db.Compact(ctx, rev) })
}

func (n *nemesis) fillDisk(ctx context.Context) error {
	if err := n.cluster.fillDisk(); err != nil {
		return err
	}
	n.wait(ctx, 300, 1500)
	return n.cluster.resizeDisk(diskBytes)
}

// jumpClock sets the server's clock forward or back, and then right again. The server
// notices within a second.
func (n *nemesis) jumpClock(ctx context.Context) error {
	offset := time.Duration(n.rng.Int64N(int64(2*maxJump))) - maxJump
	if err := n.cluster.setClock(offset); err != nil {
		return err
	}
	n.wait(ctx, 1200, 2500)
	return n.cluster.setClock(0)
}
