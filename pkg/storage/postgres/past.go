package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"platform.dev/stores/pkg/storage/history"
)

// past reads the log of one resource's objects.
type past struct {
	storage *Storage
}

var _ history.Reader = past{}

// Past returns the past of the objects of a resource, which is described as for
// NewStorage, but needs no constructors: values are decrypted and decoded in the same
// way. What is read comes from the log and is not cached.
func (d *Database) Past(resource Resource) (history.Reader, error) {
	s, err := d.newStorage(resource)
	if err != nil {
		return nil, err
	}
	return past{s}, nil
}

// List implements history.Reader.
func (p past) List(ctx context.Context, key string, upTo int64, limit int) ([]history.Revision, error) {
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	revisions, object, err := p.read(ctx, key, upTo, limit)
	if err == nil && upTo < object.created {
		// It belongs to an object that had the key before.
		return nil, history.ErrExpired
	}
	return revisions, err
}

// Get implements history.Reader.
func (p past) Get(ctx context.Context, key string, revision int64) (*history.Revision, error) {
	revisions, object, err := p.read(ctx, key, revision, 1)
	switch {
	case err != nil:
		return nil, err
	case len(revisions) == 1 && revisions[0].ResourceVersion == revision:
		return &revisions[0], nil
	case len(revisions) == 0 && revision >= object.created && !object.kept:
		return nil, p.absent(ctx, key, revision, nil)
	}
	return nil, history.ErrNotFound
}

// At implements history.Reader.
func (p past) At(ctx context.Context, key string, at time.Time) (*history.Revision, error) {
	return p.moment(ctx, key, math.MaxInt64, &at)
}

// AtRevision implements history.Reader.
func (p past) AtRevision(ctx context.Context, key string, revision int64) (*history.Revision, error) {
	return p.moment(ctx, key, revision, nil)
}

// moment returns the object at a revision and a time, if one is given.
func (p past) moment(ctx context.Context, key string, revision int64, at *time.Time) (*history.Revision, error) {
	stored, err := p.storage.key(key, false)
	if err != nil {
		return nil, err
	}
	var (
		last    int64
		rev     *int64 // null if there is nothing
		k       *kind
		made    *time.Time
		actor   *string
		auditID *string
		source  *string
		value   []byte
	)
	err = p.storage.db.pool.QueryRow(ctx, objectAtQuery, stored, revision, until(at)).
		Scan(&last, &rev, &k, &made, &actor, &auditID, &source, &value)
	switch {
	case err != nil:
		return nil, translate(ctx, "reading a past object", stored, err)
	case at == nil && revision > last:
		return nil, history.ErrFuture
	case rev == nil:
		return nil, p.absent(ctx, key, revision, at)
	}
	obj, err := p.storage.decode(ctx, stored, value, *rev)
	if err != nil {
		return nil, fmt.Errorf("revision %d: %w", *rev, err)
	}
	return &history.Revision{ResourceVersion: *rev, Verb: k.verb(), Time: *made, User: *actor, AuditID: *auditID, Source: addresses(*source), Object: obj}, nil
}

// addresses are those of a source.
func addresses(source string) []string {
	if source == "" {
		return nil
	}
	return strings.Split(source, ",")
}

// until is a time as statements bound by it.
func until(at *time.Time) any {
	if at == nil {
		return "infinity"
	}
	return *at
}

// absent is the error for a moment at which there was nothing, as far as is known.
func (p past) absent(ctx context.Context, key string, revision int64, at *time.Time) error {
	key, err := p.storage.key(key, false)
	if err != nil {
		return err
	}
	var (
		from             *int64 // null if nothing was ever cut off
		since            *time.Time
		forgotten        bool
		deleted, created *time.Time
	)
	err = p.storage.db.pool.QueryRow(ctx, absentQuery, key, revision, until(at)).Scan(&from, &since, &forgotten, &deleted, &created)
	switch {
	case err != nil:
		return translate(ctx, "reading history", key, err)
	case from != nil && (forgotten || revision < *from || at != nil && at.Before(*since)):
		return &history.ExpiredError{Since: *since, Revision: *from}
	case forgotten:
		return history.ErrExpired
	}
	absent := &history.AbsentError{}
	if deleted != nil {
		absent.Deleted = *deleted
	}
	if created != nil {
		absent.Created = *created
	}
	return absent
}

// State implements history.Reader.
func (p past) State(ctx context.Context, prefix string, revision int64) ([]history.Revision, error) {
	prefix, err := p.storage.key(prefix, true)
	if err != nil {
		return nil, err
	}
	keys := prefixRange(prefix)
	rows, err := p.storage.db.pool.Query(ctx, stateAtQuery, keys.from, keys.to, revision)
	if err != nil {
		return nil, translate(ctx, "reading past state", prefix, err)
	}
	var (
		state      []history.Revision
		last, from int64
		rev        *int64 // null if there was nothing
		key        *string
		k          *kind
		at         *time.Time
		actor      *string
		auditID    string
		source     string
		value      []byte
	)
	known := func() error {
		switch {
		case revision > last:
			return history.ErrNotFound
		case revision < from-1: // the state right before is still complete
			return history.ErrExpired
		}
		return nil
	}
	_, err = pgx.ForEachRow(rows, []any{&last, &from, &rev, &key, &k, &at, &actor, &auditID, &source, &value}, func() error {
		if rev == nil || known() != nil {
			return nil
		}
		obj, err := p.storage.decode(ctx, *key, value, *rev)
		if err != nil {
			return fmt.Errorf("revision %d: %w", *rev, err)
		}
		state = append(state, history.Revision{ResourceVersion: *rev, Verb: k.verb(), Time: *at, User: *actor, AuditID: auditID, Source: addresses(source), Object: obj})
		return nil
	})
	if err != nil {
		return nil, translate(ctx, "reading past state", prefix, err)
	}
	return state, known()
}

// RevisionAt implements history.Reader.
func (p past) RevisionAt(ctx context.Context, at time.Time) (rev int64, err error) {
	err = p.storage.db.pool.QueryRow(ctx, revisionAtQuery, at).Scan(&rev)
	return rev, translate(ctx, "finding a revision", p.storage.prefix, err)
}

// pastObject is what the log knows of an object as a whole.
type pastObject struct {
	created int64 // the revision that created it
	kept    bool  // whether the log still has that revision
}

// read returns the last revisions up to a revision.
func (p past) read(ctx context.Context, key string, upTo int64, limit int) ([]history.Revision, pastObject, error) {
	var object pastObject
	key, err := p.storage.key(key, false)
	if err != nil {
		return nil, object, err
	}
	rows, err := p.storage.db.pool.Query(ctx, revisionsQuery, key, upTo, limit)
	if err != nil {
		return nil, object, translate(ctx, "reading history", key, err)
	}
	var (
		revisions []history.Revision
		rev       *int64 // null if there is no revision
		k         *kind
		at        *time.Time
		actor     *string
		auditID   *string
		source    *string
		value     []byte
	)
	tag, err := pgx.ForEachRow(rows, []any{&object.created, &object.kept, &rev, &k, &at, &actor, &auditID, &source, &value}, func() error {
		if rev == nil {
			return nil
		}
		revision := history.Revision{ResourceVersion: *rev, Verb: k.verb(), Time: *at, User: *actor, AuditID: *auditID, Source: addresses(*source)}
		if *k != deleted {
			obj, err := p.storage.decode(ctx, key, value, *rev)
			if err != nil {
				return fmt.Errorf("revision %d: %w", *rev, err)
			}
			revision.Object = obj
		}
		revisions = append(revisions, revision)
		return nil
	})
	if err != nil {
		return nil, object, translate(ctx, "reading history", key, err)
	}
	if tag.RowsAffected() == 0 {
		return nil, object, history.ErrNotFound
	}
	// In order already, but SQL does not promise it through a join.
	slices.SortFunc(revisions, func(a, b history.Revision) int { return cmp.Compare(b.ResourceVersion, a.ResourceVersion) })
	return revisions, object, nil
}
