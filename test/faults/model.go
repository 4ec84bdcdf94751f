package faults

import (
	"github.com/anishathalye/porcupine"
)

// register is the state of one key.
type register struct {
	value  string // empty if there is no object
	rev    int64  // of the object, or unsure
	newest int64  // no later write may have a revision below it
	over   bool   // all calls of known outcome have been made
	blind  blind
}

// blind is what calls of unknown outcome have made of a register since anybody looked.
// It leaves out those that make no difference, because another overwrites what they
// wrote: with all of them the search would take exponential time.
type blind int

const (
	untouched blind = iota
	created         // where nothing was: an update may follow
	removed         // a create may follow
	settled         // no other needs to follow
)

// then returns what another call leads to, and whether it may make a difference.
func (b blind) then(k kind) (blind, bool) {
	switch {
	case b == untouched && k == create:
		return created, true
	case b == untouched && k == remove:
		return removed, true
	case b == untouched, b == created && k == update, b == removed && k == create:
		return settled, true
	}
	return b, false
}

// unsure is the revision of what a call of unknown outcome wrote.
const unsure = -1

// holds reports whether the register is what a call saw.
func (r register) holds(i item) bool {
	if r.value == "" || r.value != i.Value {
		return false
	}
	return r.rev == i.Rev || r.rev == unsure && i.Rev > r.newest
}

// write changes the register, if the revision can be.
func (r register) write(i item) (bool, register) {
	newer := i.Rev > max(r.newest, r.rev)
	r.value, r.rev = i.Value, i.Rev
	if i.Rev == unsure {
		return true, r
	}
	r.newest = i.Rev
	return newer, r
}

// step makes a call on a register, and reports whether it can have been answered so.
func step(r register, c *call) (bool, register) {
	switch c.Outcome {
	case done:
		r.blind = untouched
		return stepDone(r, c)
	case unknown:
		if r.over {
			return true, r // it makes no difference any more, as if it was never made
		}
		return stepUnknown(r, c)
	case last:
		r.over = true
		return true, r
	case absent:
		r.blind = untouched
		return r.value == "", r
	case exists:
		r.blind = untouched
		return c.Kind == create && r.value != "", r
	case conflict:
		r.blind = untouched
		return c.Kind == remove && r.value != "" && r.rev != c.Expect, r
	default:
		return true, r
	}
}

// stepUnknown makes a call that may have written. What it found is known if it got so
// far.
func stepUnknown(r register, c *call) (bool, register) {
	found := c.Before.Value != ""
	switch {
	case found && !r.holds(c.Before), !found && (r.value == "") != (c.Kind == create):
		return false, r
	case found && c.Kind == remove:
		r.blind = removed
	case found:
		r.blind = settled
	default:
		var matters bool
		if r.blind, matters = r.blind.then(c.Kind); !matters {
			return false, r
		}
	}
	return r.write(c.After)
}

func stepDone(r register, c *call) (bool, register) {
	if c.Kind == create {
		ok, next := r.write(c.After)
		return ok && r.value == "", next
	}
	if !r.holds(c.Before) {
		return false, r
	}
	if c.After == c.Before {
		r.rev, r.newest = c.Before.Rev, max(r.newest, c.Before.Rev)
		return true, r
	}
	return r.write(c.After)
}

var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) { return step(state.(register), input.(*call)) },
}

// linearizable decides whether calls of one key can have happened one after the other.
func linearizable(calls []*call) porcupine.CheckResult { return search(model, calls) }

func search(m porcupine.Model, calls []*call) porcupine.CheckResult {
	operations := []porcupine.Operation{{Input: &call{result: result{Outcome: last}}, Call: never - 1, Return: never - 1}}
	for _, c := range calls {
		operations = append(operations, porcupine.Operation{Input: c, Call: c.began, Return: c.ended})
	}
	return porcupine.CheckOperationsTimeout(m, operations, checkTimeout)
}
