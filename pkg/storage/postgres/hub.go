package postgres

import (
	"math"
	"sync"
)

// The hub keeps at least the latest change and at most this much of keys and values as
// stored. The values that changes replaced, as far as watches ask for them, and what the
// latest changes decode to come on top.
const (
	hubChanges = 16384
	hubBytes   = 64 << 20
	// decodedChanges is how many of the latest changes keep what they decode to. Watches
	// that are not far behind share it.
	decodedChanges = 1024
)

// hub holds the most recent changes in revision order, without gaps, and wakes those
// who wait for more. A replica's own writes arrive from the committer, those of others
// from the log; both may come twice and in any order.
//
// Nobody is dropped for being slow: who falls behind the hub reads the log.
type hub struct {
	mu      sync.Mutex
	recent  []*change         // dense; recent[i] has revision first+i
	first   int64             // the revision of recent[0], or the next to come
	bytes   int               // what recent holds
	parked  map[int64]*change // arrived before a revision below them
	compact int64

	// breaks counts how often history broke off: the database jumped over revisions,
	// which it does only when it may have lost some.
	breaks int
	closed bool

	// asked counts requests for progress. Somebody waits for watches to get to reach.
	asked int
	reach int64

	// poked is set if the log may have changes of which nothing is parked.
	poked bool

	changed chan struct{} // closed and replaced when what watches see of the above changed
	lagging chan struct{} // signals that the log may have changes the hub misses
}

func newHub(at position) *hub {
	return &hub{
		first:   at.rev + 1,
		compact: at.compact,
		parked:  map[int64]*change{},
		changed: make(chan struct{}),
		lagging: make(chan struct{}, 1),
	}
}

// view is what a watch sees of the hub.
type view struct {
	changes []*change // after the revision asked for; valid unless behind
	at      position  // the latest change in the hub
	behind  bool      // the changes asked for have left the hub: read the log up to at
	breaks  int
	closed  bool
	asked   int
	reach   int64
	changed <-chan struct{} // closed when the view is outdated
}

// after returns the changes after a revision.
func (h *hub) after(rev int64) view {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := view{
		at:      h.at(),
		breaks:  h.breaks,
		closed:  h.closed,
		asked:   h.asked,
		reach:   h.reach,
		changed: h.changed,
	}
	switch {
	case rev+1 < h.first:
		v.behind = rev < v.at.rev
	case rev < v.at.rev:
		v.changes = h.recent[rev+1-h.first:]
	}
	return v
}

// find returns a recent change by its revision, nil if it is not in the hub.
func (h *hub) find(rev int64) *change {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rev < h.first || rev >= h.first+int64(len(h.recent)) {
		return nil
	}
	return h.recent[rev-h.first]
}

// lags reports whether the log may have changes that the hub misses. A gap that made it
// say so may have been filled since: a replica has several batches under way, and their
// answers may come in any order.
func (h *hub) lags() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	lags := h.poked || len(h.parked) > 0
	h.poked = false
	return lags
}

// gap returns the latest change in the hub and the next one that is parked, or
// math.MaxInt64: the hub misses what lies between.
func (h *hub) gap() (after, below int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	below = math.MaxInt64
	for rev := range h.parked {
		below = min(below, rev)
	}
	return h.at().rev, below
}

// position returns the latest change in the hub, which may lag behind the database.
func (h *hub) position() position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at()
}

func (h *hub) at() position {
	return position{rev: h.first + int64(len(h.recent)) - 1, compact: h.compact}
}

// publish adds committed changes. Those above a gap wait for it to be filled.
func (h *hub) publish(changes []*change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.at().rev + 1
	for _, c := range changes {
		if c.rev >= next {
			h.parked[c.rev] = c
		}
	}
	grown := false
	for c := h.parked[next]; c != nil; c = h.parked[next] {
		delete(h.parked, next)
		h.recent = append(h.recent, c)
		h.bytes += c.size()
		if old := len(h.recent) - 1 - decodedChanges; old >= 0 {
			h.recent[old].forget()
		}
		grown = true
		next++
	}
	if grown {
		h.trim()
		h.wake()
	}
	if len(h.parked) > 0 {
		h.lag()
	}
}

// trim forgets the oldest changes beyond the limits. It leaves the array alone, which
// views share; the next growth of recent drops what was forgotten.
func (h *hub) trim() {
	n := 0
	for len(h.recent)-n > 1 && (len(h.recent)-n > hubChanges || h.bytes > hubBytes) {
		h.bytes -= h.recent[n].size()
		n++
	}
	h.recent = h.recent[n:]
	h.first += int64(n)
}

// restart begins again at a position after history broke off.
func (h *hub) restart(at position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent, h.bytes, h.first = nil, 0, at.rev+1
	h.parked = map[int64]*change{}
	h.compact = at.compact
	h.breaks++
	h.wake()
}

// compacted notes that history below rev is no longer served.
func (h *hub) compacted(rev int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.compact = max(h.compact, rev)
}

// requestProgress asks every watch that wants it to report its revision.
func (h *hub) requestProgress() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	h.wake()
}

// expect has every watch that wants it report as soon as it has delivered everything up
// to rev, unless its client can tell from the last event.
func (h *hub) expect(rev int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rev > h.at().rev {
		h.poked = true
		h.lag()
	}
	if rev > h.reach {
		h.reach = rev
		h.wake()
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.wake()
}

// poke has the log read soon.
func (h *hub) poke() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.poked = true
	h.lag()
}

func (h *hub) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *hub) lag() {
	select {
	case h.lagging <- struct{}{}:
	default: // already signalled
	}
}
