package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"platform.dev/stores/pkg/storage/history"
)

// Revision is one write of the past.
type Revision struct {
	// ResourceVersion is the revision the write was given.
	ResourceVersion int64
	// Key is where the object is or was stored.
	Key string
	// Verb is what the write did.
	Verb history.Verb
	// Time is the server's clock at the write.
	Time time.Time
	// Actor is the name of the user who asked for the write, empty if there was none.
	Actor string
	// AuditID is that of the request, empty if there was none or it is not known.
	AuditID string
	// Asked is the request's own verb: a Verb of update may have been a patch.
	Asked string
	// Source is where the request came from, as addresses with commas between.
	Source string
	// Value is the object as stored, nil for a delete.
	Value []byte
}

// History returns the latest writes, newest first and at most limit, of the keys that
// start with prefix, which must end in "/" or name one object. Deleted objects are
// included and compaction does not matter. It reads the log backwards and is slow for
// what has not changed lately; the past of one object is read with Past.
func (d *Database) History(ctx context.Context, prefix string, limit int) ([]Revision, error) {
	r := singleKey(prefix)
	if prefix != "" && prefix[len(prefix)-1] == '/' {
		r = prefixRange(prefix)
	}
	rows, err := d.pool.Query(ctx, historyQuery, r.from, r.to, limit)
	if err != nil {
		return nil, translate(ctx, "reading history", prefix, err)
	}
	revisions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Revision, error) {
		var (
			rev Revision
			k   kind
		)
		err := row.Scan(&rev.ResourceVersion, &rev.Key, &k, &rev.Time, &rev.Actor, &rev.AuditID, &rev.Asked, &rev.Source, &rev.Value)
		rev.Verb = k.verb()
		return rev, err
	})
	if err != nil {
		return nil, translate(ctx, "reading history", prefix, err)
	}
	return revisions, nil
}

func (k kind) verb() history.Verb {
	switch k {
	case created:
		return history.Create
	case updated:
		return history.Update
	case deleted:
		return history.Delete
	default:
		return history.Verb(fmt.Sprintf("kind %d", k))
	}
}
