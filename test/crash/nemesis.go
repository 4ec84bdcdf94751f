package crash

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/violations"
)

const (
	// candidates is how many points a replica may die at.
	candidates = 6
	// inVain is how often a point is tried that nobody comes to.
	inVain = 30
	// patience is how long a replica may take to come to one of them.
	patience = 3 * time.Second
	// pastLease is how long a replica is stopped: another has taken its stores then.
	pastLease = shortLease + time.Second
	// restartTimeout bounds how long a server may take to come back.
	restartTimeout = time.Minute
)

// nemesis kills whatever there is, again and again.
type nemesis struct {
	barracks *barracks
	env      *harness.Environment
	database *postgrestest.Server
	found    *violations.Log
	log      io.Writer

	mu     sync.Mutex
	rng    *rand.Rand
	seen   map[string]int // how often each point was passed
	aimed  map[string]int // how often a replica was to die there,
	died   map[string]int // and how often one did
	kills  map[string]int // by what was killed, and how
	alone  int            // replicas that ended by themselves: they had lost their lease
	pauses []pause
	last   time.Time // the last kill
}

func newNemesis(seed uint64, barracks *barracks, env *harness.Environment, database *postgrestest.Server, found *violations.Log, log io.Writer) *nemesis {
	n := &nemesis{
		barracks: barracks, env: env, database: database, found: found, log: log, rng: rand.New(rand.NewPCG(seed, 1)),
		seen: map[string]int{}, aimed: map[string]int{}, died: map[string]int{}, kills: map[string]int{},
	}
	barracks.passed = n.pass
	return n
}

func (n *nemesis) pass(point string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[point]++
}

// draw returns a random number below limit.
func (n *nemesis) draw(limit int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.IntN(limit)
}

// killed counts a kill.
func (n *nemesis) killed(how string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kills[how]++
	n.last = time.Now()
	if total := sum(n.kills); total%50 == 0 {
		fmt.Fprintf(n.log, "%s %d kills, %d of %d points\n", time.Now().Format(time.TimeOnly), total, len(n.died), len(n.seen))
	}
}

// enough is true after so many kills, once a replica has died at every point if all
// are to be covered, but for those that hardly ever come again.
func (n *nemesis) enough(options Options) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for point := range n.seen {
		if options.Cover && n.died[point] == 0 && n.aimed[point] < inVain {
			return false
		}
	}
	return sum(n.kills) >= options.Kills
}

func sum(counts map[string]int) int {
	total := 0
	for _, count := range counts {
		total += count
	}
	return total
}

// run kills until there were enough kills or ctx ends, and leaves everything running,
// with a replica kept in each slot.
func (n *nemesis) run(ctx context.Context, slots []string, options Options) ([]*keeper, error) {
	done := func() bool { return ctx.Err() != nil || n.enough(options) }
	left := make([]*keeper, len(slots))
	var all errgroup.Group
	for i, slot := range slots {
		all.Go(func() (err error) {
			for !done() {
				if err := n.oneLife(slot); err != nil {
					return err
				}
			}
			left[i], err = n.barracks.keep(slot)
			return err
		})
	}
	all.Go(func() error {
		for !done() {
			sleep(ctx, time.Duration(500+n.draw(4000))*time.Millisecond)
			if err := n.killServer(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
	return left, all.Wait()
}

// oneLife is that of one replica, from its start to its end.
func (n *nemesis) oneLife(slot string) error {
	o, most := n.plan()
	r, err := n.barracks.start(slot, o)
	if err != nil {
		return err
	}
	defer r.kill() // before the next one is started, whatever happens
	select {
	case <-r.exited:
		n.ended(r)
	case <-r.stopped:
		n.outlast(r)
	case <-time.After(most):
		r.kill()
		n.killed("provisioner, at any time")
	}
	return nil
}

// plan draws how a replica ends: most die at one of the points at which fewest have
// died, some at any time, and a few stop. It also returns how long it lives at most.
func (n *nemesis) plan() (order, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	turns := map[string]int{}
	for point := range n.seen {
		turns[point] = (n.died[point]*candidates+n.aimed[point])<<16 + n.rng.IntN(1<<16)
	}
	points := by(turns)
	// Those that die early die at what they begin with, the others at work.
	o := order{Lease: shortLease, At: points[:min(candidates, len(points))], After: max(0, time.Duration(n.rng.IntN(8000)-2000)*time.Millisecond)}
	switch draw := n.rng.IntN(20); {
	case draw < 4:
		return order{Lease: shortLease}, o.After + time.Second
	case draw == 4:
		// In the middle of an action: it has a lease then.
		o.Stop, o.At = true, slices.DeleteFunc(points, func(point string) bool { return !inside(point) })
		return o, o.After + patience
	}
	for _, point := range o.At {
		n.aimed[point]++
	}
	return o, o.After + patience
}

// ended counts the end of a replica that nobody outside has killed.
func (n *nemesis) ended(r *replica) {
	if !r.wasKilled() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.alone++
		return
	}
	n.mu.Lock()
	n.died[r.diedAt()]++
	n.mu.Unlock()
	if inside(r.diedAt()) {
		n.killed("provisioner, at a request of Helm")
		return
	}
	n.killed("provisioner, at a request")
}

// outlast continues a stopped replica after its lease. It has to end by itself.
func (n *nemesis) outlast(r *replica) {
	time.Sleep(pastLease) // the fault itself is that time passes
	n.mu.Lock()
	n.pauses = append(n.pauses, pause{By: r.name, Continued: time.Now()})
	n.mu.Unlock()
	r.signal(syscall.SIGCONT)
	select {
	case <-r.exited:
	case <-time.After(patience):
		n.found.Add("outlived its lease", "%s, stopped at %s", r.name, r.diedAt())
	}
	n.killed("provisioner, stopped past its lease and continued")
}

// killServer kills one of the servers and has it back.
func (n *nemesis) killServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	switch draw := n.draw(20); {
	case draw == 0:
		n.killed("kube-apiserver")
		return n.env.RestartKubeAPIServer(ctx)
	case draw < 11:
		n.killed("our API server")
		return n.env.RestartServer(ctx)
	default:
		n.killed("PostgreSQL")
		n.database.Kill()
		return n.database.Start()
	}
}
