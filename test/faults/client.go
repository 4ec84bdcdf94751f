package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// callDeadlines are how long clients wait for an answer. The short ones give up calls
// that are under way.
var callDeadlines = []time.Duration{20 * time.Millisecond, 500 * time.Millisecond, 4 * time.Second, 4 * time.Second, 4 * time.Second}

// client makes one call after the other and records them. Every other client makes
// each to any replica. The rest stay with one, so that the load goes on when a replica
// hangs, where sooner or later all those that wander wait.
func (e *episode) client(ctx context.Context, number int, rng *rand.Rand) {
	var calls []*call
	performers := e.performers()
	if number%2 == 0 {
		at := number / 2 % len(performers)
		performers = performers[at : at+1]
	}
	known := map[string]item{} // what this client believes, for suggestions
	for n := 0; ctx.Err() == nil; n++ {
		r := e.nextRequest(fmt.Sprintf("c%d-%d", number, n), known, rng)
		c := &call{request: r, began: e.now()}
		// Calls outlive the load, so that as few as possible are unknown.
		c.result = performers[rng.IntN(len(performers))].perform(context.WithoutCancel(ctx), r)
		c.ended = e.now()
		calls = append(calls, c)
		e.operations.Add(1)
		switch c.Outcome {
		case done:
			known[c.Key] = c.After
		case unknown:
			e.givenUp.Add(1)
		case failed:
			e.refused.Add(1)
			pause(ctx, time.Duration(1+rng.IntN(10))*time.Millisecond)
		}
		if len(known) > 4*keys {
			clear(known)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, calls...)
}

func (e *episode) nextRequest(value string, known map[string]item, rng *rand.Rand) request {
	r := request{Key: e.key(rng), Value: value, Deadline: callDeadlines[rng.IntN(len(callDeadlines))]}
	believed := known[r.Key]
	if believed.Value != "" && rng.IntN(2) == 0 {
		r.Hint, r.HintRev = believed.Value, believed.Rev
	}
	switch n := rng.IntN(100); {
	case n < 25:
		if r.Kind = create; isMortal(r.Key) {
			r.Seconds = 1
		}
	case n < 70:
		r.Kind = update
		r.Keep = rng.IntN(15) == 0
	case n < 85:
		if r.Kind = remove; rng.IntN(3) == 0 {
			r.Expect = believed.Rev
		}
	default:
		r.Kind = get
	}
	return r
}

// informer makes one session after the other with a replica.
func (e *episode) informer(ctx context.Context, r *replica, rng *rand.Rand) {
	var sessions []*session
	for ctx.Err() == nil {
		if e.enoughSessions() {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		s := e.runSession(ctx, r, rng)
		if s == nil {
			pause(ctx, 10*time.Millisecond)
			continue
		}
		e.operations.Add(1) // the list
		sessions = append(sessions, s)
		e.sessionCount.Add(1)
		pause(ctx, time.Duration(rng.IntN(10))*time.Millisecond)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions = append(e.sessions, sessions...)
}

// enoughSessions reports whether sessions are ahead of the calls they were asked for
// with, which they would otherwise leave little time.
func (e *episode) enoughSessions() bool {
	o := e.options
	return o.Sessions > 0 && e.sessionCount.Load()*int64(o.Operations) > 2*e.operations.Load()*int64(o.Sessions)
}
