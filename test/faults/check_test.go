package faults

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/watch"
)

// story is a short history with its calls and a session, all of which agree.
func story() *records {
	calls := []*call{
		{request: request{Kind: create, Key: "g0/k1", Value: "a"}, began: 10, ended: 20,
			result: result{Outcome: done, After: item{"g0/k1", "a.1", 2}}},
		{request: request{Kind: get, Key: "g0/k1"}, began: 25, ended: 28,
			result: result{Outcome: done, Before: item{"g0/k1", "a.1", 2}, After: item{"g0/k1", "a.1", 2}}},
		{request: request{Kind: update, Key: "g0/k1", Value: "b"}, began: 30, ended: 40,
			result: result{Outcome: done, Before: item{"g0/k1", "a.1", 2}, After: item{"g0/k1", "b.1", 3}}},
		{request: request{Kind: create, Key: "g0/k2", Value: "c"}, began: 50, ended: 60,
			result: result{Outcome: done, After: item{"g0/k2", "c.1", 4}}},
		{request: request{Kind: remove, Key: "g0/k1"}, began: 70, ended: 80,
			result: result{Outcome: done, Before: item{"g0/k1", "b.1", 3}, After: item{Key: "g0/k1", Rev: 5}}},
		{request: request{Kind: get, Key: "g0/k1"}, began: 85, ended: 90, result: result{Outcome: absent}},
	}
	events := []event{
		{watch.Added, item{"g0/k1", "a.1", 2}},
		{watch.Modified, item{"g0/k1", "b.1", 3}},
		{watch.Added, item{"g0/k2", "c.1", 4}},
		{watch.Deleted, item{"g0/k1", "b.1", 5}},
	}
	s := &session{replica: &replica{}, namespace: "g0", began: 22, listed: 24, start: 2, initial: events[0].item.hash(), end: 5}
	for _, e := range events[1:] {
		s.events = append(s.events, seen{e.Rev, e.hash()})
	}
	return &records{
		found: &findings{}, eras: []*era{{start: 1, events: events}}, calls: calls, sessions: []*session{s},
		finalItems: []item{{"g0/k2", "c.1", 4}}, finalRev: 5,
	}
}

// failOverStory goes on after a failover that lost revisions 4 and 5.
func failOverStory() *records {
	r := story()
	kept := []item{{"g0/k1", "b.1", 3}}
	r.jumps = []jump{{generation: 0, known: 4, asked: 65, killed: 100}}
	r.eras = append(r.eras, &era{start: 1003, initial: kept, events: []event{{watch.Added, item{"g1/k1", "d.1", 1004}}}})
	r.calls = append(r.calls, &call{request: request{Kind: create, Key: "g1/k1", Value: "d"}, began: 110, ended: 120,
		result: result{Outcome: done, After: item{"g1/k1", "d.1", 1004}}})
	r.finalItems, r.finalRev = append(kept, item{"g1/k1", "d.1", 1004}), 1004
	return r
}

// unseenStory is of a write that a failover lost before the auditor saw it. Its author
// never knew, but another had read a value.
func unseenStory(value string) *records {
	r := failOverStory()
	read := item{"g0/k3", value, 6}
	r.calls = append(r.calls,
		&call{request: request{Kind: create, Key: "g0/k3", Value: "x"}, began: 70, ended: 130},
		&call{request: request{Kind: update, Key: "g0/k3", Value: "y"}, began: 70, ended: 130},
		&call{request: request{Kind: get, Key: "g0/k3"}, began: 80, ended: 90,
			result: result{Outcome: done, Before: read, After: read}})
	return r
}

// givenUpStory is of many calls that were given up before a failover, which may all have
// been done just before it, and one that got an answer.
func givenUpStory(answer item) *records {
	r := failOverStory()
	for n := range 30 {
		r.calls = append(r.calls, &call{began: 41, ended: 42, request: request{
			Kind: []kind{update, remove, create}[n%3], Key: "g0/k1", Value: fmt.Sprint("x", n),
		}})
	}
	r.calls = append(r.calls, &call{request: request{Kind: get, Key: "g0/k1"}, began: 66, ended: 84,
		result: result{Outcome: done, Before: answer, After: answer}})
	return r
}

// TestCheckerAcceptsWhatIsRight guards against a checker that finds fault with anything.
func TestCheckerAcceptsWhatIsRight(t *testing.T) {
	cases := map[string]func() *records{
		"plain":     story,
		"lost tail": failOverStory,
		"unknown outcome, was done": func() *records {
			r := story()
			r.calls[2].Outcome = unknown
			return r
		},
		"unknown outcome, was not done": func() *records {
			r := story()
			r.calls = append(r.calls, &call{request: request{Kind: update, Key: "g0/k2", Value: "x"}, began: 70, ended: 80})
			return r
		},
		"unknown outcome of a deletion": func() *records {
			r := story()
			r.calls[4].Outcome = unknown
			return r
		},
		"seen and then lost by a failover": func() *records {
			r := failOverStory()
			r.jumps[0].known, r.jumps[0].asked = 3, 45
			r.calls[4].Outcome, r.calls[4].ended = failed, 130 // the new server does not know of it
			r.calls = slices.Delete(r.calls, 5, 6)
			return r
		},
		"read by one and then lost by a failover": func() *records { return unseenStory("x.1") },
		"read while many may have written":        func() *records { return givenUpStory(item{"g0/k1", "b.1", 3}) },
		"read of what one of many wrote":          func() *records { return givenUpStory(item{"g0/k1", "x5.1", 6}) },
	}
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			r := make()
			r.check()
			if r.found.Total() > 0 {
				t.Errorf("found %q", r.found.Texts)
			}
		})
	}
	r := failOverStory()
	if r.check(); r.lostTail != 2 || r.found.lost.Load() != 0 {
		t.Errorf("counts %d writes of the lost tail and %d lost otherwise, want 2 and 0", r.lostTail, r.found.lost.Load())
	}
}

// TestCheckerFinds breaks the story in one way at a time.
func TestCheckerFinds(t *testing.T) {
	cases := map[string]struct {
		start  func() *records
		breaks func(*records)
		want   string
	}{
		"acknowledged write that is not in the history": {story, func(r *records) {
			r.calls = append(r.calls, &call{request: request{Kind: create, Key: "g0/k3", Value: "x"}, began: 70, ended: 80,
				result: result{Outcome: done, After: item{"g0/k3", "x.1", 6}}})
		}, "acknowledged write lost"},
		"acknowledged write that another replaced": {story, func(r *records) {
			r.calls[3].Value, r.calls[3].After.Value = "x", "x.1"
		}, "acknowledged write lost"},
		"write that was refused": {story, func(r *records) { r.calls[3].Outcome = failed }, "refused write applied"},
		"write nobody made":      {story, func(r *records) { r.calls = slices.Delete(r.calls, 3, 4) }, "change nobody asked for"},
		"write made twice": {story, func(r *records) {
			r.eras[0].events = append(r.eras[0].events, event{watch.Modified, item{"g0/k2", "c.1", 6}})
		}, "change made twice"},
		"deletion nobody made": {story, func(r *records) { r.calls = slices.Delete(r.calls, 4, 5) }, "deletion nobody asked for"},
		"stale read":           {story, func(r *records) { r.calls[1].began, r.calls[1].ended = 45, 48 }, "not linearizable"},
		"read of what was deleted": {story, func(r *records) {
			r.calls[5].Outcome, r.calls[5].Before, r.calls[5].After = done, item{"g0/k1", "b.1", 3}, item{"g0/k1", "b.1", 3}
		}, "not linearizable"},
		"create over an object": {story, func(r *records) {
			r.calls[5].Kind, r.calls[5].Outcome = create, exists
		}, "not linearizable"},
		"update from a state that was gone": {story, func(r *records) { r.calls[2].Before.Value = "z.1" }, "condition not held"},
		"revisions against the clock": {story, func(r *records) {
			r.calls[2].began, r.calls[2].ended = 62, 65
		}, "order of revisions"},
		"stale list":              {story, func(r *records) { r.sessions[0].began, r.sessions[0].listed = 45, 48 }, "order of revisions"},
		"list with another state": {story, func(r *records) { r.sessions[0].initial++ }, "list differs from history"},
		"event missed":            {story, func(r *records) { r.sessions[0].events = slices.Delete(r.sessions[0].events, 1, 2) }, "event missed"},
		"event twice": {story, func(r *records) {
			s := r.sessions[0]
			s.events = slices.Insert(s.events, 1, s.events[0])
		}, "event made up"},
		"event with another value": {story, func(r *records) { r.sessions[0].events[0].hash++ }, "event differs"},
		"state at the end":         {story, func(r *records) { r.finalItems = nil }, "state differs from history"},
		"failover that keeps no prefix": {failOverStory, func(r *records) {
			r.eras[1].initial = []item{{"g0/k1", "b.1", 3}, {"g0/k9", "z.1", 2}}
		}, "not a prefix"},
		"read of what nobody wrote": {func() *records { return unseenStory("z.1") }, func(*records) {}, "not linearizable"},
		"read of what none of many wrote": {
			func() *records { return givenUpStory(item{"g0/k1", "a.1", 2}) }, func(*records) {}, "not linearizable"},
		"watch that goes on after a failover": {failOverStory, func(r *records) {
			s := r.sessions[0]
			s.events, s.end = append(s.events, seen{1004, 1}), 1004
		}, "watch outlived a failover"},
		"write lost that the failover should have kept": {failOverStory, func(r *records) {
			r.eras[0].events[1].Value = "y.1"
			r.eras[1].initial[0].Value = "y.1"
		}, "acknowledged write lost"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := c.start()
			c.breaks(r)
			r.check()
			if r.found.Count[c.want] == 0 {
				t.Errorf("found %v, want %q\n%q", slices.Sorted(maps.Keys(r.found.Count)), c.want, r.found.Texts)
			}
		})
	}
}
