// Package claims says what an object takes up beyond its own key: names that only one
// object may hold, places among a limited number, and a share of what may be created
// in a span of time. A registry derives claims from objects; a storage that knows this
// package decides them in the transaction of the write, so that they are exact however
// many servers write at once.
//
// Names are the registry's choice. One name is one thing to the whole storage, whatever
// the resource: start it with the resource's own.
package claims

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// Holding is what an object holds for as long as it exists.
type Holding struct {
	// Unique are names that no other object may hold.
	Unique []string
	// Counted are names of which an object takes up one place each.
	Counted []string
}

// Minus returns what h holds and other does not.
func (h Holding) Minus(other Holding) Holding {
	return Holding{Unique: minus(h.Unique, other.Unique), Counted: minus(h.Counted, other.Counted)}
}

func minus(a, b []string) []string {
	var rest []string
	for _, name := range a {
		if !slices.Contains(b, name) {
			rest = append(rest, name)
		}
	}
	return rest
}

// Limit bounds how many objects may hold a counted name.
type Limit struct {
	Name string
	Max  int64
	// Source says who set the limit. It comes back in the error.
	Source string
}

// Rate bounds how many objects may be created under a name in any span of the length
// of the window. Deleting them gives nothing back.
type Rate struct {
	Name   string
	Count  int64
	Window time.Duration
	// Source says who set the rate. It comes back in the error.
	Source string
}

// Limits are the bounds that apply to one write. Names without a limit are counted all
// the same.
type Limits struct {
	Counts []Limit
	Rates  []Rate
}

// Rules are what the objects of one resource claim.
type Rules struct {
	// Holding returns what an object holds. It depends on the object alone: the storage
	// calls it for the old and the new object of an update and changes the difference.
	Holding func(obj runtime.Object) Holding
	// Limits returns what bounds the creation of obj by the user of ctx.
	Limits func(ctx context.Context, obj runtime.Object) (Limits, error)
}

// Change is what one write does to the claims of its object.
type Change struct {
	Drop, Take Holding
	Limits
}

// Empty reports whether there is nothing to decide.
func (c Change) Empty() bool {
	return len(c.Drop.Unique)+len(c.Drop.Counted)+len(c.Take.Unique)+len(c.Take.Counted)+len(c.Rates) == 0
}

// Change returns what becomes of claims when obj replaces an object that held before.
// Limits count for a new object, and for one that takes up more places than it did.
func (r *Rules) Change(ctx context.Context, before Holding, obj runtime.Object, isNew bool) (Change, error) {
	after := r.Holding(obj)
	change := Change{Drop: before.Minus(after), Take: after.Minus(before)}
	if !isNew && len(change.Take.Counted) == 0 {
		return change, nil
	}
	limits, err := r.Limits(ctx, obj)
	if err != nil {
		return Change{}, err
	}
	for _, limit := range limits.Counts {
		if slices.Contains(change.Take.Counted, limit.Name) {
			change.Counts = append(change.Counts, limit)
		}
	}
	if isNew {
		change.Rates = limits.Rates
	}
	return change, nil
}

// Ledger is what a storage has on its books.
type Ledger interface {
	// Check returns the error that a write with these claims would be refused with
	// now. It takes nothing.
	Check(ctx context.Context, change Change) error
	// Count returns how many objects hold each counted name.
	Count(ctx context.Context, names ...string) (map[string]int64, error)
	// Spent returns how many objects have been created under the name of rate within
	// its window up to now.
	Spent(ctx context.Context, rate Rate) (int64, error)
}
