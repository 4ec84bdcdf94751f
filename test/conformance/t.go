package conformance

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// patience bounds every wait of a check.
const patience = 30 * time.Second

// T is one check of one server. Other than a test, it may fail without failing the test
// that it runs in: what it comes to is asked of outcome.
type T struct {
	testing.TB
	*Server

	row string // the name of its test

	mu          sync.Mutex
	failures    []string
	unsupported string

	making sync.Once
	space  string // its namespace, once it has one
}

// result is what a check came to.
type result string

const (
	passed       result = "pass"
	failed       result = "FAIL"
	notSupported result = "not supported"
)

// outcome is the result of a check, and the reason for it.
type outcome struct {
	result result
	reason string
}

// run checks one convention of one server.
func run(tb testing.TB, server *Server, row row) outcome {
	t := &T{TB: tb, Server: server, row: row.test()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		row.check(t)
	}()
	<-done // also by FailNow and SkipNow, which end the goroutine
	switch {
	case len(t.failures) > 0:
		return outcome{failed, strings.Join(t.failures, "\n")}
	case t.unsupported != "":
		return outcome{notSupported, t.unsupported}
	}
	return outcome{passed, ""}
}

// Errorf notes a failure.
func (t *T) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

// Error notes a failure.
func (t *T) Error(args ...any) { t.Errorf("%s", fmt.Sprint(args...)) }

// Fatalf notes a failure and ends the check.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal notes a failure and ends the check.
func (t *T) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

// must ends the check if something that is no part of it has gone wrong.
func (t *T) must(err error) {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		t.Fatalf("line %d: %v", line, err)
	}
}

// needs ends the check without a failure if the server does not have what it is about.
func (t *T) needs(there bool, what string) {
	if !there {
		t.unsupported = "needs " + what
		runtime.Goexit()
	}
}

// eventually waits until condition holds.
func (t *T) eventually(what string, condition func(context.Context) (bool, error)) {
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// contains fails the check for every part that text lacks.
func (t *T) contains(text string, parts ...string) {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in: %.2000s", part, text)
		}
	}
}

// equal fails the check unless both lists hold the same, in any order.
func (t *T) equal(what string, got, want []string) {
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
