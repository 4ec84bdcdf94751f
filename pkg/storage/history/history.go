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
	// Object is the object as written, with its resourceVersion.
	Object runtime.Object
}

var (
	// ErrNotFound is returned if the object does not exist now, or did not exist
	// at the revision or the time asked for.
	ErrNotFound = errors.New("no such revision")
	// ErrExpired is returned for what is older than all that is kept.
	ErrExpired = errors.New("the revision is no longer kept")
)

// Reader reads the past of the objects of one resource. An object's past begins
// with its creation: what had its key before, and was deleted, is another object.
// What it takes to answer does not depend on what was written since.
type Reader interface {
	// List returns the writes of the object that exists at key, the newest first
	// and at most limit, up to the revision given; 0 means up to the latest.
	List(ctx context.Context, key string, upTo int64, limit int) ([]Revision, error)
	// Get returns the write that gave the object at key a revision.
	Get(ctx context.Context, key string, revision int64) (*Revision, error)
	// At returns the last write of the object at key that was made by a time.
	At(ctx context.Context, key string, at time.Time) (*Revision, error)
	// State returns the objects under prefix, which ends in "/", as they were right
	// after a revision, in the order of their keys: of each the last write by then.
	// Those that were deleted since are among them.
	State(ctx context.Context, prefix string, revision int64) ([]Revision, error)
	// RevisionAt returns the last revision of all objects that was made by a time. It
	// may be older than what is kept.
	RevisionAt(ctx context.Context, at time.Time) (int64, error)
}
