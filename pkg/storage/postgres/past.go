package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
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
	revisions, object, err := p.read(ctx, key, upTo, time.Time{}, limit)
	if err == nil && upTo < object.created {
		// It belongs to an object that had the key before.
		return nil, history.ErrExpired
	}
	return revisions, err
}

// Get implements history.Reader.
func (p past) Get(ctx context.Context, key string, revision int64) (*history.Revision, error) {
	revisions, object, err := p.read(ctx, key, revision, time.Time{}, 1)
	if err != nil {
		return nil, err
	}
	if len(revisions) == 1 && revisions[0].ResourceVersion == revision {
		return &revisions[0], nil
	}
	return nil, object.missing(len(revisions) == 0 && revision >= object.created)
}

// At implements history.Reader.
func (p past) At(ctx context.Context, key string, at time.Time) (*history.Revision, error) {
	revisions, object, err := p.read(ctx, key, math.MaxInt64, at, 1)
	if err != nil {
		return nil, err
	}
	if len(revisions) == 1 {
		return &revisions[0], nil
	}
	return nil, object.missing(true)
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
	_, err = pgx.ForEachRow(rows, []any{&last, &from, &rev, &key, &k, &at, &actor, &auditID, &value}, func() error {
		if rev == nil || known() != nil {
			return nil
		}
		obj, err := p.storage.decode(ctx, *key, value, *rev)
		if err != nil {
			return fmt.Errorf("revision %d: %w", *rev, err)
		}
		state = append(state, history.Revision{ResourceVersion: *rev, Verb: k.verb(), Time: *at, User: *actor, AuditID: auditID, Object: obj})
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

// missing is the error for a revision that was not found. It may have been one that
// is no longer kept if it is older than all that are.
func (o pastObject) missing(older bool) error {
	if older && !o.kept {
		return history.ErrExpired
	}
	return history.ErrNotFound
}

// read returns the last revisions up to a revision and a time, if that is given.
func (p past) read(ctx context.Context, key string, upTo int64, by time.Time, limit int) ([]history.Revision, pastObject, error) {
	var object pastObject
	key, err := p.storage.key(key, false)
	if err != nil {
		return nil, object, err
	}
	var until any = "infinity"
	if !by.IsZero() {
		until = by
	}
	rows, err := p.storage.db.pool.Query(ctx, revisionsQuery, key, upTo, until, limit)
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
		value     []byte
	)
	tag, err := pgx.ForEachRow(rows, []any{&object.created, &object.kept, &rev, &k, &at, &actor, &auditID, &value}, func() error {
		if rev == nil {
			return nil
		}
		obj, err := p.storage.decode(ctx, key, value, *rev)
		if err != nil {
			return fmt.Errorf("revision %d: %w", *rev, err)
		}
		revisions = append(revisions, history.Revision{ResourceVersion: *rev, Verb: k.verb(), Time: *at, User: *actor, AuditID: *auditID, Object: obj})
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
