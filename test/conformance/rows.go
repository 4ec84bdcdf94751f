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
	{number: 19, name: "invalid", convention: "what is invalid is refused with 422, by field, in words that help", check: checkInvalid},
	{number: 20, name: "bounds", convention: "texts, lists and maps have bounds", check: checkBounds},
	{number: 21, name: "immutable", convention: "what cannot be changed says so, and what to do instead", check: checkImmutable},
	{number: 22, name: "quota", convention: "an exceeded quota is refused with 403: who, requested, used, hard", check: checkQuota},
	{number: 23, name: "errors", convention: "every error is a Status; 429, 503 and 504 say when to come again", check: checkErrors, alone: true},
	{number: 24, name: "warnings", convention: "what is dangerous or deprecated is warned of in 120 characters", check: checkWarnings},
	{number: 25, name: "tables", convention: "tables have columns of their own, wide ones more, also in watches", check: checkTables},
	{number: 26, name: "names", convention: "singular, short names and categories", check: checkNames},
	{number: 27, name: "explain", convention: "kubectl explain describes every field", check: checkExplain},
	{number: 28, name: "list", convention: "lists and their items have their kinds", check: checkList},
	{number: 29, name: "field-selectors", convention: "field selectors; others are refused with those that there are", check: checkSelectors},
	{number: 30, name: "labels", convention: "labels are valid, and app.kubernetes.io tells whose an object is", check: checkLabels},
	{number: 31, name: "events", convention: "events have regarding, reason, action and note, each once", check: checkEvents},
	{number: 32, name: "describe", convention: "kubectl describe shows conditions and events", check: checkDescribe},
	{number: 33, name: "impersonation", convention: "delegated authentication and authorization, --as, 403 in the usual words", check: checkImpersonation},
	{number: 34, name: "can-i", convention: "kubectl auth can-i, and subresources with rights of their own", check: checkCanI},
	{number: 35, name: "audit", convention: "decisions are annotated in the audit log, which history refers to", check: checkAudit},
	{number: 36, name: "field-names", convention: "fields are named as the conventions say", check: checkFieldNames},
	{number: 37, name: "defaults", convention: "defaults are seen when read, what is empty is left out", check: checkDefaults},
	{number: 38, name: "size", convention: "objects are small, and not written while nothing happens", check: checkSize},
	{number: 39, name: "secrets", convention: "no secret is in an object", check: checkSecrets},
	{number: 40, name: "owners", convention: "owners are in the namespace of what they own", check: checkOwners},
	{number: 41, name: "discovery", convention: "discovery is cheap, and up when the storage is not", check: checkDiscovery, alone: true},
	{number: 42, name: "round-trip", convention: "what is written is read, in every format and version", check: checkRoundTrip},
	{number: 43, name: "namespace-deletion", convention: "a namespace takes its objects with it, and goes last", check: checkNamespaceDeletion},
	{number: 44, name: "health", convention: "readyz, livez, metrics and version", check: checkHealth},
}
