package faults

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// Summary is the result of a run.
type Summary struct {
	Seed         uint64
	Took         time.Duration
	Episodes     int
	Operations   int // calls and lists
	Acknowledged int // writes
	Unknown      int // calls of unknown outcome
	Sessions     int
	Expired      int // sessions that were told to start over
	Events       int // that sessions saw
	Keys         int // checked to be linearizable
	Faults       map[string]int
	LostTail     int // acknowledged writes that failovers lost, as they may
	Lost         int // acknowledged writes lost otherwise
	Violations   map[string]int
	Texts        []string // the first violations
}

// Failed reports whether anything was found.
func (s *Summary) Failed() bool { return len(s.Violations) > 0 }

func (s *Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d episodes in %v\n", s.Seed, s.Episodes, s.Took.Round(time.Second))
	fmt.Fprintf(&b, "%10d operations, of which %d were acknowledged writes and %d have an unknown outcome\n", s.Operations, s.Acknowledged, s.Unknown)
	fmt.Fprintf(&b, "%10d list+watch sessions with %d events, %d told to start over\n", s.Sessions, s.Events, s.Expired)
	fmt.Fprintf(&b, "%10d keys checked to be linearizable\n", s.Keys)
	total := 0
	for _, n := range s.Faults {
		total += n
	}
	fmt.Fprintf(&b, "%10d faults:\n", total)
	for _, name := range slices.Sorted(maps.Keys(s.Faults)) {
		fmt.Fprintf(&b, "%18d %s\n", s.Faults[name], name)
	}
	fmt.Fprintf(&b, "%10d acknowledged writes were in a tail that a promoted standby had not got\n", s.LostTail)
	fmt.Fprintf(&b, "%10d acknowledged writes lost\n", s.Lost)
	total = 0
	for _, n := range s.Violations {
		total += n
	}
	fmt.Fprintf(&b, "%10d violations\n", total)
	for _, name := range slices.Sorted(maps.Keys(s.Violations)) {
		fmt.Fprintf(&b, "%18d %s\n", s.Violations[name], name)
	}
	for _, text := range s.Texts {
		fmt.Fprintf(&b, "- %s\n", text)
	}
	return b.String()
}

// callsPerEpisode bounds what an episode has to remember.
const callsPerEpisode = 40_000

// Run makes episodes until there were enough operations and sessions, and all numbers of
// replicas had their turn. It stops at the first that finds something. An error is of
// the run itself.
func Run(ctx context.Context, options Options) (*Summary, error) {
	ctx = quiet(ctx)
	sum := &Summary{Seed: options.Seed, Faults: map[string]int{}}
	rng := rand.New(rand.NewPCG(options.Seed, 0))
	faults := &deck{rng: rand.New(rand.NewPCG(options.Seed, 1))}
	began := time.Now()
	defer func() { sum.Took = time.Since(began) }()
	for !sum.Failed() && (sum.Episodes < len(options.Replicas) ||
		sum.Operations < options.Operations || sum.Sessions < options.Sessions) {
		replicas := options.Replicas[sum.Episodes%len(options.Replicas)]
		if err := runEpisode(ctx, options, replicas, faults, rng, sum); err != nil {
			return sum, fmt.Errorf("episode %d: %w", sum.Episodes+1, err)
		}
		sum.Episodes++
		e := fmt.Sprintf("episode %d, %d replicas: %d operations, %d sessions so far", sum.Episodes, replicas, sum.Operations, sum.Sessions)
		fmt.Fprintln(options.Log, e)
	}
	return sum, nil
}

func runEpisode(ctx context.Context, options Options, replicas int, faults *deck, rng *rand.Rand, sum *Summary) error {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	e := &episode{options: options, found: &findings{}, birth: time.Now(), deck: faults, count: sum.Faults}
	defer e.tearDown()
	defer func() { sum.Violations, sum.Texts = e.found.Count, e.found.Texts }()
	if err := e.setUp(ctx, replicas, dir); err != nil {
		return err
	}
	share := max(1, options.Operations/callsPerEpisode)
	if err := e.run(ctx, options.Operations/share, options.Sessions/share, rng); err != nil {
		return err
	}
	r := &records{
		found: e.found, eras: e.auditor.eras, calls: e.calls, sessions: e.sessions, jumps: e.jumps,
		finalItems: e.finalItems, finalRev: e.finalRev,
	}
	sum.count(e) // before the check resolves what is unknown
	r.check()
	sum.Keys += r.checked
	sum.LostTail += r.lostTail
	sum.Lost += int(e.found.lost.Load())
	return nil
}

func (s *Summary) count(e *episode) {
	s.Operations += int(e.operations.Load())
	s.Sessions += len(e.sessions)
	for _, c := range e.calls {
		if c.acknowledged() {
			s.Acknowledged++
		}
		if c.Outcome == unknown {
			s.Unknown++
		}
	}
	for _, session := range e.sessions {
		s.Events += len(session.events)
		if session.expired {
			s.Expired++
		}
	}
}

func (e *episode) logf(format string, args ...any) {
	fmt.Fprintf(e.options.Log, format+"\n", args...)
}
