package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// maxKeyBytes keeps keys well inside what one index entry can hold.
const maxKeyBytes = 2048

// keyRange is the keys from one, inclusive unless after is set, to another, exclusive.
type keyRange struct {
	from, to string
	after    bool
}

// prefixRange spans the keys that start with prefix, which ends in "/".
func prefixRange(prefix string) keyRange {
	return keyRange{from: prefix, to: prefix[:len(prefix)-1] + "0"} // "0" follows "/"
}

// singleKey spans one key: the next possible one ends in \x01, as \x00 cannot be stored.
func singleKey(key string) keyRange {
	return keyRange{from: key, to: key + "\x01"}
}

// startAt continues a range at a continue key: such a key ends in \x00 to mean "after".
func (r keyRange) startAt(key string) keyRange {
	from, after := strings.CutSuffix(key, "\x00")
	return keyRange{from: from, to: r.to, after: after}
}

// checkKey refuses what a text column or its index cannot hold.
func checkKey(key string) error {
	if len(key) > maxKeyBytes {
		return tooLarge("key", len(key), maxKeyBytes)
	}
	if !utf8.ValidString(key) || strings.Contains(key, "\x00") {
		return storage.NewInvalidObjError(key, fmt.Sprintf("invalid key: %q", key))
	}
	return nil
}

// record is a key with its value as stored.
type record struct {
	key   string
	rev   int64
	value []byte // nil if it was not asked for

	known   runtime.Object // what it decodes to, to be read only; nil if that is not in memory
	decoded bool           // what follows is set
	obj     runtime.Object // nil if the selector does not want it
	err     error
}

// get reads one key and the revision at which it had that value, nil if absent.
func (d *Database) get(ctx context.Context, key string) (*record, int64, error) {
	var (
		rev   int64
		mod   *int64
		value []byte
	)
	if err := d.pool.QueryRow(ctx, getQuery, key).Scan(&rev, &mod, &value); err != nil {
		return nil, 0, err
	}
	if mod == nil {
		return nil, rev, nil
	}
	return &record{key: key, rev: *mod, value: value}, rev, nil
}

// page is part of a list: all from one snapshot.
type page struct {
	at      position
	records []*record
	count   int64 // keys in the range asked for, up to what was asked
}

// chunkRecords is how many records of a list are handed on at a time.
const chunkRecords = 32

// list reads up to limit keys of r in order, and their values if asked for, as of
// revision rev or, for 0, the latest, and counts up to count of them. The caller checks
// the position returned: below its compact revision, or above its latest, the page means
// nothing. While others are still to come, chunks of records that have arrived are passed
// to arrived, unless it is nil.
func (d *Database) list(
	ctx context.Context, r keyRange, values bool, rev, limit, count int64, arrived func([]*record),
) (page, error) {
	query, args := listQuery, []any{r.from, r.to, r.after, limit, count, values}
	if rev > 0 {
		query, args = listAtQuery, append(args, rev)
	}
	rows, err := d.pool.Query(ctx, query, args...)
	if err != nil {
		return page{}, err
	}
	var (
		p     page
		block []record // what is allocated at once
		chunk []*record
		key   *string // null when the position comes without a record
		mod   *int64
		value []byte
	)
	if arrived == nil {
		arrived = func([]*record) {}
	}
	_, err = pgx.ForEachRow(rows, []any{&p.at.rev, &p.at.compact, &key, &mod, &value, &p.count}, func() error {
		if key == nil {
			return nil
		}
		if len(chunk) == cap(chunk) {
			arrived(chunk)
			block = make([]record, 0, chunkRecords)
			chunk = make([]*record, 0, chunkRecords)
		}
		block = append(block, record{key: *key, rev: *mod, value: value})
		chunk = append(chunk, &block[len(block)-1])
		p.records = append(p.records, &block[len(block)-1])
		return nil
	})
	arrived(chunk)
	// In order already, but SQL does not promise it through a join.
	slices.SortFunc(p.records, func(a, b *record) int { return strings.Compare(a.key, b.key) })
	return p, err
}

// values reads the values of revisions. The log may no longer have those that are not
// current.
func (d *Database) values(ctx context.Context, revs []int64) (map[int64][]byte, error) {
	rows, err := d.pool.Query(ctx, valuesQuery, revs)
	if err != nil {
		return nil, err
	}
	var (
		values = make(map[int64][]byte, len(revs))
		rev    int64
		value  []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&rev, &value}, func() error {
		values[rev] = value
		return nil
	})
	return values, err
}

// stats counts the keys of r and, if sizes, the bytes of their values.
func (d *Database) stats(ctx context.Context, r keyRange, sizes bool) (c count, bytes int64, err error) {
	err = d.pool.QueryRow(ctx, statsQuery, r.from, r.to, sizes).Scan(&c.rev, &c.objects, &bytes)
	return c, bytes, err
}
