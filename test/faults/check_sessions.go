package faults

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/watch"
)

// timeline is what a session of one namespace should see.
type timeline struct {
	now    uint64 // hash of all objects
	events []seen
}

func (t *timeline) add(e event, before item) {
	if before.Value != "" {
		t.now ^= before.hash()
	}
	if e.kind != watch.Deleted {
		t.now ^= e.item.hash()
	}
	t.events = append(t.events, seen{e.Rev, e.hash()})
}

// timelines are those of one era by namespace, for sessions without a selector and
// with it.
type timelines struct{ all, chosen map[string]*timeline }

func timelineOf(m map[string]*timeline, key string) *timeline {
	namespace, _, _ := strings.Cut(key, "/")
	if m[namespace] == nil {
		m[namespace] = &timeline{}
	}
	return m[namespace]
}

func (t timelines) start(items []item) {
	for _, i := range items {
		timelineOf(t.all, i.Key).now ^= i.hash()
		if isChosen(i.Value) {
			timelineOf(t.chosen, i.Key).now ^= i.hash()
		}
	}
}

// add notes a change. Through a selector an update may be seen as something else.
func (t timelines) add(e event, before item) {
	timelineOf(t.all, e.Key).add(e, before)
	was := before.Value != "" && isChosen(before.Value)
	is := e.kind != watch.Deleted && isChosen(e.Value)
	switch {
	case is && was:
		e.kind = watch.Modified
	case is:
		e.kind, before = watch.Added, item{}
	case was:
		e.kind, e.Value = watch.Deleted, before.Value
	default:
		return
	}
	timelineOf(t.chosen, e.Key).add(e, before)
}

func (t timelines) of(s *session) *timeline {
	if s.chosen {
		return timelineOf(t.chosen, s.namespace+"/")
	}
	return timelineOf(t.all, s.namespace+"/")
}

// checkSessions requires each session's list to be the history up to its revision, and
// its events to be those that follow.
func (r *records) checkSessions() {
	byEra := make([][]*session, len(r.eras))
	for _, s := range r.sessions {
		n := r.eraOf(s.start)
		byEra[n] = append(byEra[n], s)
	}
	for n, sessions := range byEra {
		slices.SortFunc(sessions, func(a, b *session) int { return cmp.Compare(a.start, b.start) })
		r.checkSessionsOf(n, sessions)
	}
}

func (r *records) checkSessionsOf(n int, sessions []*session) {
	e := r.eras[n]
	t := timelines{all: map[string]*timeline{}, chosen: map[string]*timeline{}}
	t.start(e.initial)
	next := 0
	for _, s := range sessions {
		for ; next < len(e.events) && e.events[next].Rev <= s.start; next++ {
			t.add(e.events[next], r.before[e.events[next].Rev])
		}
		if want := t.of(s).now; s.initial != want && s.start >= e.start && s.start <= e.end() {
			r.found.Add("list differs from history", "replica %d, %s at %d", s.replica.number, s.namespace, s.start)
		}
	}
	for ; next < len(e.events); next++ {
		t.add(e.events[next], r.before[e.events[next].Rev])
	}
	for _, s := range sessions {
		r.checkEvents(n, s, t.of(s).events)
	}
}

// checkEvents compares a session with the events of its namespace.
func (r *records) checkEvents(n int, s *session, history []seen) {
	if s.end > r.eras[n].end() && r.afterwards(n, s.end) {
		r.found.Add("watch outlived a failover", "replica %d from %d to %d", s.replica.number, s.start, s.end)
	}
	until := min(s.end, r.eras[n].end())
	from, _ := slices.BinarySearchFunc(history, s.start+1, func(e seen, rev int64) int { return cmp.Compare(e.rev, rev) })
	got := s.events
	for _, want := range history[from:] {
		if want.rev > until {
			break
		}
		switch {
		case len(got) == 0 || got[0].rev > want.rev:
			r.found.Add("event missed", "replica %d, %s from %d to %d: revision %d", s.replica.number, s.namespace, s.start, s.end, want.rev)
			return
		case got[0].rev < want.rev:
			r.found.Add("event made up", "replica %d, %s from %d to %d: revision %d", s.replica.number, s.namespace, s.start, s.end, got[0].rev)
			return
		case got[0].hash != want.hash:
			r.found.Add("event differs", "replica %d, %s from %d to %d: revision %d", s.replica.number, s.namespace, s.start, s.end, got[0].rev)
			return
		}
		got = got[1:]
	}
	if len(got) > 0 && got[0].rev <= until {
		r.found.Add("event made up", "replica %d, %s from %d to %d: revision %d", s.replica.number, s.namespace, s.start, s.end, got[0].rev)
	}
}
