package process

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Scope is the testing.TB of what outlives the single test. Only the methods
// below may be called.
type Scope struct {
	testing.TB
	cleanups []func()
}

// Helper does nothing.
func (*Scope) Helper() {}

// Context is not done before the process ends.
func (*Scope) Context() context.Context { return context.Background() }

// Cleanup has f called at the end.
func (s *Scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Fatal ends the process.
func (s *Scope) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	s.End()
	os.Exit(1)
}

// End calls what was given to Cleanup, the last first.
func (s *Scope) End() {
	for i := range s.cleanups {
		s.cleanups[len(s.cleanups)-1-i]()
	}
}
