package faults

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// kind is what a client asks for.
type kind int

const (
	create kind = iota
	update
	remove
	get
)

func (k kind) String() string { return [...]string{"create", "update", "delete", "get"}[k] }

// outcome is what a client was told.
type outcome int

const (
	// unknown: the call was given up, it may have been done or may still be.
	unknown outcome = iota
	// failed: nothing was done, for reasons that say nothing about the object.
	failed
	// done: as asked.
	done
	// absent, exists and conflict: nothing was done because of the state of the object.
	absent
	exists
	conflict
	// last: of no call, but of the mark after all calls whose outcome is known.
	last
)

func (o outcome) String() string {
	return [...]string{"unknown", "failed", "done", "absent", "exists", "conflict", "last"}[o]
}

// request is one call to be made.
type request struct {
	Number   int64 // of the call, among those of its replica
	Kind     kind
	Key      string // "namespace/name"
	Value    string // to be written; each try appends its number
	Seconds  uint64 // to live, for a create
	Expect   int64  // for a delete: the revision it is limited to, if not 0
	Keep     bool   // for an update: leave the object as it is
	Hint     string // for an update or delete: the value of a suggested object, if any,
	HintRev  int64  // and its revision
	Deadline time.Duration
}

// result is what came of it.
type result struct {
	Number  int64
	Outcome outcome
	Before  item   // what the call found: the last try, of several
	After   item   // what it left; without value after a deletion
	Err     string // for people
}

// never is when calls of unknown outcome end: they may take effect at any time.
const never = math.MaxInt64

// call is a request with its result and the times between which it took effect, in
// nanoseconds since the episode began.
type call struct {
	request
	result
	began, ended int64
}

func (c *call) String() string {
	return fmt.Sprintf("%s %s: %s, before %q@%d, after %q@%d, in [%d, %d] %s",
		c.Kind, c.Key, c.Outcome, c.Before.Value, c.Before.Rev, c.After.Value, c.After.Rev, c.began, c.ended, c.Err)
}

// acknowledged reports whether the call was told that it had written.
func (c *call) acknowledged() bool {
	return c.Outcome == done && c.Kind != get && c.After.Rev != c.Before.Rev
}

// violations collects what must not be. It is safe for concurrent use.
type violations struct {
	mu    sync.Mutex
	count map[string]int
	texts []string
	lost  int // acknowledged writes
}

// maxTexts bounds how many violations of a kind are described.
const maxTexts = 5

func (v *violations) add(what, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.count == nil {
		v.count = map[string]int{}
	}
	v.count[what]++
	if v.count[what] <= maxTexts {
		v.texts = append(v.texts, what+": "+fmt.Sprintf(format, args...))
	}
}

func (v *violations) total() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, count := range v.count {
		n += count
	}
	return n
}

// lose is add for an acknowledged write that is gone.
func (v *violations) lose(what, format string, args ...any) {
	v.add(what, format, args...)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lost++
}
