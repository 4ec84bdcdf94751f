package conformance

import "fmt"

// row is a convention and the check of it.
type row struct {
	number     int
	name       string // of the test
	convention string
	check      func(*T)
	alone      bool // it disturbs other checks of the server, or is disturbed by them
}

// test is the name of the row's test.
func (r row) test() string { return fmt.Sprintf("%02d-%s", r.number, r.name) }

// rows are the conventions. Those that run alone come before all others.
var rows = []row{
	{number: 1, name: "create", convention: "an existing name is refused with 409, names are generated", check: checkCreate},
	{number: 2, name: "status", convention: "spec and status are written apart, with rights of their own", check: checkStatus},
	{number: 3, name: "generation", convention: "generation counts changes of spec, observedGeneration follows", check: checkGeneration},
	{number: 4, name: "conditions", convention: "conditions are a map by type, valid, and there from the first write", check: checkConditions},
	{number: 5, name: "ready", convention: "Ready sums the other conditions up", check: checkReady},
	{number: 6, name: "no-phase", convention: "there is no phase", check: checkNoPhase},
	{number: 7, name: "kstatus", convention: "kstatus tells what is done from what is not, at any time", check: checkKstatus},
	{number: 8, name: "wait", convention: "kubectl wait for create, conditions, fields and delete", check: checkWait},
	{number: 9, name: "delete", convention: "finalizers, preconditions, propagation and grace of DELETE", check: checkDelete},
	{number: 10, name: "deletecollection", convention: "collections are deleted by selectors, and in dry runs not", check: checkDeleteCollection},
	{number: 11, name: "conflict", convention: "no update is lost: a stale PUT is refused with 409", check: checkConflict},
	{number: 12, name: "pages", convention: "pages of a list are one snapshot, an old token expires with 410", check: checkPages},
	{number: 13, name: "watch", convention: "watches from a revision, bookmarks, initial events, selectors, 410", check: checkWatch},
	{number: 14, name: "patch", convention: "JSON, merge and strategic merge patches, and apply", check: checkPatch},
	{number: 15, name: "apply", convention: "server-side apply names who manages a field in conflict", check: checkApply},
	{number: 16, name: "dry-run", convention: "dry runs of every verb change not a byte of what is stored", check: checkDryRun, alone: true},
	{number: 17, name: "diff", convention: "kubectl diff tells by its exit code", check: checkDiff},
	{number: 18, name: "field-validation", convention: "unknown and duplicate fields are refused or warned of", check: checkFieldValidation},
}
