package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"k8s.io/apimachinery/pkg/watch"
)

// checkTimeout bounds the search for an order of the calls of one key, which takes
// milliseconds.
const checkTimeout = 20 * time.Second

// records are all that is known of an episode.
type records struct {
	found      *findings
	eras       []*era
	calls      []*call
	sessions   []*session
	jumps      []jump // between eras
	finalItems []item
	finalRev   int64

	kept      []int64            // the last revision that outlived each era
	byValue   map[string]*call   // calls by the value they write, without the try
	deletions map[int64]*call    // acknowledged deletions by revision
	byKey     map[string][]*call // histories to be linearized
	unasked   map[string][]*call // deletions by key that no acknowledgement explains
	before    map[int64]item     // what each revision replaced
	lostTail  int                // acknowledged writes that failovers lost
	checked   int                // keys
}

// check finds all violations in the records.
func (r *records) check() {
	r.index()
	for n := range r.eras {
		r.checkEra(n)
	}
	r.checkAcknowledged()
	r.checkOrder()
	r.checkSessions()
	r.checkFinal()
	r.checkKeys()
}

func (r *records) index() {
	r.byValue = map[string]*call{}
	r.deletions = map[int64]*call{}
	r.byKey = map[string][]*call{}
	r.unasked = map[string][]*call{}
	r.before = map[int64]item{}
	for _, c := range r.calls {
		switch {
		case c.Kind == create || c.Kind == update:
			r.byValue[c.Value] = c
		case c.Kind == remove && c.Outcome == done:
			r.deletions[c.After.Rev] = c
		}
	}
}

// state is a fold of events, with a hash that does not depend on order.
type state struct {
	items map[string]item
	hash  uint64
}

func fold(items []item) *state {
	s := &state{items: map[string]item{}}
	for _, i := range items {
		s.items[i.Key] = i
		s.hash ^= i.hash()
	}
	return s
}

// apply makes a change and returns what it replaced.
func (s *state) apply(e *event) item {
	before, had := s.items[e.Key]
	if had {
		s.hash ^= before.hash()
	}
	if e.kind == watch.Deleted {
		delete(s.items, e.Key)
		return before
	}
	s.items[e.Key] = e.item
	s.hash ^= e.item.hash()
	return before
}

// checkEra requires that each event fits the state before it and is what some call
// asked for, and that what outlived the era is a prefix of it.
func (r *records) checkEra(n int) {
	e := r.eras[n]
	s := fold(e.initial)
	kept := int64(-1)
	var rest uint64
	if n+1 < len(r.eras) {
		rest = fold(r.eras[n+1].initial).hash
	}
	if s.hash == rest {
		kept = e.start
	}
	for at := range e.events {
		ev := &e.events[at]
		before := s.apply(ev)
		r.before[ev.Rev] = before
		fits := (before.Value == "") == (ev.kind == watch.Added)
		if !fits || ev.kind == watch.Deleted && ev.Value != before.Value {
			r.found.Add("event does not fit", "the auditor: %s of %s at %d, before %q", ev.kind, ev.Key, ev.Rev, before.Value)
		}
		r.explain(n, ev, before)
		if s.hash == rest {
			kept = ev.Rev
		}
	}
	switch {
	case n+1 == len(r.eras):
		kept = e.end()
	case kept < 0:
		r.found.Add("not a prefix", "after the failover at revision %d the state is none of the history", e.end())
	}
	r.kept = append(r.kept, kept)
}

// explain finds the call that asked for a change.
func (r *records) explain(n int, ev *event, before item) {
	if ev.kind == watch.Deleted {
		if c := r.deletions[ev.Rev]; c == nil || c.Key != ev.Key {
			r.unasked[ev.Key] = append(r.unasked[ev.Key], &call{
				request: request{Kind: remove, Key: ev.Key},
				result:  result{Outcome: done, Before: before, After: item{Key: ev.Key, Rev: ev.Rev}},
				ended:   never,
			})
		}
		return
	}
	c := r.byValue[ev.Value[:max(0, strings.LastIndex(ev.Value, "."))]]
	switch {
	case c == nil || c.Key != ev.Key:
		r.found.Add("change nobody asked for", "%q at %d", ev.Value, ev.Rev)
	case c.Outcome == done && c.After.Rev != ev.Rev && !r.afterwards(n, c.After.Rev):
		r.found.Add("change made twice", "%v, and at revision %d", c, ev.Rev)
	case c.Outcome == unknown, c.Outcome == failed && r.mayBeLost(n, ev.Rev):
		// Now it is known.
		c.Outcome, c.Before, c.After, c.ended = done, before, ev.item, never
	case c.Outcome != done:
		r.found.Add("refused write applied", "%v, but at revision %d", c, ev.Rev)
	}
}

// mayBeLost reports whether a revision may be among those that the failover after an
// era lost.
func (r *records) mayBeLost(n int, rev int64) bool {
	return n < len(r.jumps) && rev > r.jumps[n].known
}

// afterwards reports whether a revision belongs to a later era.
func (r *records) afterwards(n int, rev int64) bool {
	return n+1 < len(r.eras) && rev > r.eras[n+1].start
}

// eraOf returns the number of the era of a revision.
func (r *records) eraOf(rev int64) int {
	n := 0
	for n+1 < len(r.eras) && rev >= r.eras[n+1].start {
		n++
	}
	return n
}

// checkAcknowledged requires every acknowledged write to be in the history, but for
// what a failover lost.
func (r *records) checkAcknowledged() {
	for _, c := range r.calls {
		if !c.acknowledged() || c.ended == never {
			continue
		}
		n := r.eraOf(c.After.Rev)
		ev := r.eras[n].at(c.After.Rev)
		last := n+1 == len(r.eras)
		switch {
		case ev == nil && !last && c.After.Rev > r.eras[n].end():
			r.lostTail++ // even the auditor did not get to see it
			continue
		case ev == nil, ev.Key != c.Key, ev.kind != watch.Deleted && ev.Value != c.After.Value,
			(ev.kind == watch.Deleted) != (c.Kind == remove):
			r.found.lose("acknowledged write lost", "%v, but the history has %v", c, ev)
			continue
		case !last && c.After.Rev > r.kept[n]:
			r.lostTail++
		}
		if before := r.before[c.After.Rev]; c.Kind != create && before != c.Before {
			r.found.Add("condition not held", "%v, but the history had %v", c, before)
		}
	}
}

// point is something that took effect between two times, at a place in the order of
// revisions.
type point struct {
	place        int64
	began, ended int64
	what         any
}

// checkOrder requires that no write or list which had ended before another began comes
// after it in the order of revisions.
func (r *records) checkOrder() {
	var points []point
	for _, c := range r.calls {
		if c.acknowledged() && c.ended != never {
			points = append(points, point{2 * c.After.Rev, c.began, c.ended, c})
		}
	}
	for _, s := range r.sessions {
		points = append(points, point{2*s.start + 1, s.began, s.listed, fmt.Sprintf("list at %d", s.start)})
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.place, b.place) })
	first := point{ended: never} // to end, of those further on
	for n := len(points) - 1; n >= 0; n-- {
		p := points[n]
		if p.place < first.place && first.ended < p.began {
			r.found.Add("order of revisions", "%v ended before %v began", first.what, p.what)
		}
		if p.ended < first.ended {
			first = p
		}
	}
}

// checkFinal compares the state after everything with the history.
func (r *records) checkFinal() {
	e := r.eras[len(r.eras)-1]
	s := fold(e.initial)
	for n := range e.events {
		if e.events[n].Rev <= r.finalRev {
			s.apply(&e.events[n])
		}
	}
	if final := fold(r.finalItems); final.hash != s.hash {
		r.found.Add("state differs from history", "%d objects at %d, the history has %d", len(final.items), r.finalRev, len(s.items))
	}
}

// checkKeys requires the calls of each key to be linearizable.
func (r *records) checkKeys() {
	for _, c := range r.calls {
		r.place(c)
	}
	open := r.openDeletions()
	for key, deletions := range r.unasked {
		r.placeDeletions(key, deletions, open[key])
	}
	for key, calls := range r.byKey {
		r.checked++
		switch linearizable(calls) {
		case porcupine.Illegal:
			r.found.Add("not linearizable", "%s\n%s", key, describe(calls))
		case porcupine.Unknown:
			r.found.Add("not decided", "%s\n%s", key, describe(calls))
		}
	}
}

// place puts a call into the history of its key, with what is known of it.
func (r *records) place(c *call) {
	j := r.jumpOf(c.Key)
	switch {
	case c.Outcome == done && c.Kind != get && j != nil && r.afterwards(r.eraOf(j.known), c.After.Rev):
		return // made on the key of an earlier generation, after a failover
	case c.ended == never: // explained
	case j != nil && c.ended > j.killed && !c.acknowledged():
		if c.Kind == get || c.Outcome == absent || c.Outcome == exists || c.Outcome == conflict || c.Outcome == done {
			return // it may have been answered by the new server
		}
		r.perhaps(c, j)
		return
	case c.Outcome == failed:
		return
	case c.Outcome == unknown:
		if j != nil {
			r.perhaps(c, j)
		}
		return // it is not in the history
	}
	r.byKey[c.Key] = append(r.byKey[c.Key], c)
}

// perhaps adds a call that may have written what a failover lost before anybody saw it.
func (r *records) perhaps(c *call, j *jump) {
	if c.Kind == get {
		return
	}
	guess := *c
	guess.Outcome, guess.began, guess.ended = unknown, max(c.began, j.asked), never
	guess.After = item{Key: c.Key, Value: c.After.Value, Rev: unsure}
	if c.Kind != remove && guess.After.Value == "" {
		guess.After.Value = c.Value + ".1"
	}
	r.byKey[c.Key] = append(r.byKey[c.Key], &guess)
}

// jumpOf returns the first failover during or after the generation of a key, nil if
// there was none.
func (r *records) jumpOf(key string) *jump {
	var generation int64
	if _, err := fmt.Sscanf(key, "g%d/", &generation); err != nil {
		return nil
	}
	for n := range r.jumps {
		if generation <= r.jumps[n].generation {
			return &r.jumps[n]
		}
	}
	return nil
}

// openDeletions returns, by key, when the calls began that may have deleted without an
// acknowledgement.
func (r *records) openDeletions() map[string][]int64 {
	began := map[string][]int64{}
	for _, c := range r.calls {
		if c.Kind != remove || c.Outcome != unknown && c.Outcome != failed {
			continue
		}
		j := r.jumpOf(c.Key)
		if c.Outcome == unknown || j != nil && c.ended >= j.asked {
			began[c.Key] = append(began[c.Key], c.began)
		}
	}
	return began
}

// placeDeletions explains deletions by expiry or by calls of unknown outcome, of which
// it is given the beginnings.
func (r *records) placeDeletions(key string, deletions []*call, began []int64) {
	if len(deletions) > len(began) && !isMortal(key) {
		r.found.Add("deletion nobody asked for", "%s: %d, of unknown outcome are %d", key, len(deletions), len(began))
	}
	j := r.jumpOf(key)
	for _, d := range deletions {
		if j != nil && r.afterwards(r.eraOf(j.known), d.After.Rev) {
			continue
		}
		if d.began = 0; !isMortal(key) && len(began) > 0 {
			d.began = slices.Min(began)
		}
		r.byKey[key] = append(r.byKey[key], d)
	}
}

func describe(calls []*call) string {
	calls = slices.SortedFunc(slices.Values(calls), func(a, b *call) int { return cmp.Compare(a.began, b.began) })
	var lines strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&lines, "\t%v\n", c)
	}
	return lines.String()
}
