// Package violations collects what checkers find.
package violations

import (
	"fmt"
	"sync"
)

// maxTexts bounds how many violations of a kind are described.
const maxTexts = 5

// Log is what must not be and was found. Its methods are safe for concurrent use; its
// fields are to be read when nobody adds any more.
type Log struct {
	// Count is how often each kind was found.
	Count map[string]int
	// Texts describe the first of each kind.
	Texts []string

	mu sync.Mutex
}

// Add notes a violation of a kind, with a description.
func (l *Log) Add(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Count == nil {
		l.Count = map[string]int{}
	}
	l.Count[kind]++
	if l.Count[kind] <= maxTexts {
		l.Texts = append(l.Texts, kind+": "+fmt.Sprintf(format, args...))
	}
}

// Total returns how many violations were found.
func (l *Log) Total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, count := range l.Count {
		n += count
	}
	return n
}
