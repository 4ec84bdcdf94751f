package claims

import (
	"errors"
	"fmt"
	"time"
)

// IsRefusal reports whether err is one of the errors below: nothing was written.
func IsRefusal(err error) bool {
	return errors.As(err, new(*TakenError)) || errors.As(err, new(*ExceededError)) || errors.As(err, new(*RateError))
}

// TakenError refuses a write because another object holds a unique name.
type TakenError struct {
	Name string
}

// Error implements error. It does not say who holds the name.
func (e *TakenError) Error() string {
	return fmt.Sprintf("%q is taken", e.Name)
}

// ExceededError refuses a write because no place is left.
type ExceededError struct {
	Limit
	Used int64
}

// Error implements error.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("%q is used up: used %d, limit %d", e.Name, e.Used, e.Max)
}

// RateError refuses a write because too many came before it.
type RateError struct {
	Rate
	Used int64
	// Next is when the same write would be let through, and Wait how long that is from
	// now, by the clock of the storage.
	Next time.Time
	Wait time.Duration
}

// Error implements error.
func (e *RateError) Error() string {
	return fmt.Sprintf("%q came %d times in %s: wait %s", e.Name, e.Used, e.Window, e.Wait)
}
