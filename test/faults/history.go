package faults

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"platform.dev/stores/test/internal/violations"
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

// findings are what must not be, with the number of acknowledged writes among it that
// were lost. They are safe for concurrent use.
type findings struct {
	violations.Log
	lost atomic.Int64
}

// lose is Add for an acknowledged write that is gone.
func (f *findings) lose(kind, format string, args ...any) {
	f.Add(kind, format, args...)
	f.lost.Add(1)
}
