// Package history says what can be asked of an object's past. It holds types
// alone: registries ask by them, and a storage that remembers answers.
package history

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// Verb is what a write did to its object.
type Verb string

// The verbs of writes.
const (
	Create Verb = "create"
	Update Verb = "update"
	Delete Verb = "delete"
)

// Revision is one write of the past.
type Revision struct {
	// ResourceVersion is what the write was given.
	ResourceVersion int64
	// Verb is what it did.
	Verb Verb
	// Time is the database's clock at the write.
	Time time.Time
	// User is who asked for it, empty if nobody did.
	User string
	// AuditID is what audit logs call the request, empty if it is not known.
	AuditID string
	// Source is where that request came from: the addresses that it passed, the last
	// of them the one that the server saw. It is nil if that is not known.
	Source []string
	// Object is the object as written, with its resourceVersion. It is nil for a
	// delete.
	Object runtime.Object
}

var (
	// ErrNotFound is returned if there was no object at the revision or the time
	// asked for. An AbsentError, which is one, tells more.
	ErrNotFound = errors.New("no such revision")
	// ErrExpired is returned for what is older than all that is kept. An
	// ExpiredError, which is one, tells how far back one can go.
	ErrExpired = errors.New("the revision is no longer kept")
	// ErrFuture is returned for a revision that is yet to come.
	ErrFuture = errors.New("the revision is yet to come")
)

// AbsentError tells that no object had the key at a moment. It is an ErrNotFound.
type AbsentError struct {
	// Deleted is when the last object before was deleted, zero if that is not known.
	Deleted time.Time
	// Created is when the next object was created, zero if there was none.
	Created time.Time
}

func (e *AbsentError) Error() string { return "no object at that time" }

// Is makes it an ErrNotFound.
func (e *AbsentError) Is(target error) bool { return target == ErrNotFound }

// ExpiredError tells that a moment is before what is kept. It is an ErrExpired.
type ExpiredError struct {
	// Since is the time from which on all is kept.
	Since time.Time
	// Revision is the first at which the state is complete.
	Revision int64
}

func (e *ExpiredError) Error() string { return ErrExpired.Error() }

// Is makes it an ErrExpired.
func (e *ExpiredError) Is(target error) bool { return target == ErrExpired }

// Reader reads the past of the objects of one resource. The past of an object begins
// with its creation and outlives it: what had its key before is another object. What
// it takes to answer does not depend on what was written since.
type Reader interface {
	// List returns the writes of the object that exists at key or, if there is none,
	// of the last that did: the newest first and at most limit, up to the revision
	// given; 0 means up to the latest.
	List(ctx context.Context, key string, upTo int64, limit int) ([]Revision, error)
	// Get returns the write that gave the object that List is about a revision.
	Get(ctx context.Context, key string, revision int64) (*Revision, error)
	// At returns the object that had the key at a time, by the last write made by then.
	At(ctx context.Context, key string, at time.Time) (*Revision, error)
	// AtRevision is At for the moment right after a revision, which may be that of any
	// object.
	AtRevision(ctx context.Context, key string, revision int64) (*Revision, error)
	// State returns the objects under prefix, which ends in "/", as they were right
	// after a revision, in the order of their keys: of each the last write by then.
	// Those that were deleted since are among them.
	State(ctx context.Context, prefix string, revision int64) ([]Revision, error)
	// RevisionAt returns the last revision of all objects that was made by a time. It
	// may be older than what is kept.
	RevisionAt(ctx context.Context, at time.Time) (int64, error)
}
