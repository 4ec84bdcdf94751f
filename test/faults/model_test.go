package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestBlindCallsMakeNoDifference compares the model with one that tries every order of
// the calls of unknown outcome, on random histories of which some are possible.
func TestBlindCallsMakeNoDifference(t *testing.T) {
	exhaustive := porcupine.Model{Init: model.Init, Step: func(state, input, _ any) (bool, any) {
		r := state.(register)
		r.blind = untouched
		ok, next := step(r, input.(*call))
		next.blind = untouched
		return ok, next
	}}
	rng := rand.New(rand.NewPCG(1, 2))
	count := map[porcupine.CheckResult]int{}
	for range 5000 {
		calls := randomCalls(rng)
		got, want := linearizable(calls), search(exhaustive, calls)
		if got != want {
			t.Fatalf("decided %v, want %v:\n%s", got, want, describe(calls))
		}
		count[got]++
	}
	if min(count[porcupine.Ok], count[porcupine.Illegal]) < 500 {
		t.Errorf("the histories do not try both answers: %v", count)
	}
}

// randomCalls makes calls on a key one after the other, hides the outcome of some, and
// gives some a wrong answer.
func randomCalls(rng *rand.Rand) []*call {
	var calls []*call
	var r register
	for n := range 10 {
		c := &call{
			request: request{Kind: kind(rng.IntN(4)), Key: "g0/k", Value: fmt.Sprint(n)},
			began:   int64(10*n - rng.IntN(30)), ended: int64(10*n + 1 + rng.IntN(30)),
		}
		if r.value != "" {
			c.Before = item{c.Key, r.value, r.rev}
		}
		c.After = item{c.Key, c.Value, int64(n + 1)}
		switch {
		case c.Kind == create && r.value != "":
			c.Outcome = exists
		case c.Kind != create && r.value == "":
			c.Outcome = absent
		case c.Kind == get:
			c.Outcome, c.After = done, c.Before
		default:
			if c.Outcome = done; c.Kind == remove {
				c.After.Value = ""
			}
			if _, r = r.write(c.After); rng.IntN(4) == 0 {
				r = register{newest: r.newest} // lost
			}
		}
		if c.Kind != get && rng.IntN(3) == 0 {
			c.Outcome, c.ended, c.After.Rev = unknown, never, unsure
			if rng.IntN(2) == 0 {
				c.Before = item{}
			}
			if c.Kind == remove {
				c.After.Value = ""
			}
		}
		calls = append(calls, c)
	}
	return calls
}
