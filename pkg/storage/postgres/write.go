package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// commitTimeout bounds one attempt to send a batch and hear of it.
const commitTimeout = 15 * time.Second

// batchAttempt is one batch on its way: enough to find out later what became of it.
type batchAttempt struct {
	id      int64
	writes  []*write
	after   int64   // a revision that was the latest, or older, before the attempt
	session session // who it was sent to
}

// commit writes a batch, passes what it changed to the hub and answers every write.
func (d *Database) commit(ctx context.Context, writes []*write) {
	changes, err := d.attempt(ctx, writes)
	var pgErr *pgconn.PgError
	if len(writes) > 1 && errors.As(err, &pgErr) && !isUnavailable(err) {
		// The server rejects something in the batch: only its author shall suffer.
		for _, w := range writes {
			d.commit(ctx, []*write{w})
		}
		return
	}
	// The hub first: who has been answered may expect to find his change in a watch.
	d.hub.publish(changes)
	d.answer(ctx, writes, changes, err)
}

func (d *Database) answer(ctx context.Context, writes []*write, changes []*change, err error) {
	applied := make(map[string]*change, len(changes))
	for _, c := range changes {
		applied[c.key] = c
	}
	for _, w := range writes {
		rivals := w.rivals
		w.rivals = nil
		switch c := applied[w.key]; {
		case err != nil:
			w.done <- outcome{err: translate(ctx, "writing", w.key, err)}
			d.writes.requeue(rivals)
		case c != nil: // though refused by an attempt that failed
			w.done <- outcome{rev: c.rev}
			lose(rivals, c)
		case w.refused != nil:
			w.done <- outcome{err: w.refused}
			d.writes.requeue(rivals)
		default:
			// The key was not at the revision expected, and no key ever returns to one.
			w.done <- outcome{}
			lose(rivals, nil)
		}
	}
}

// lose answers writes whose condition does not hold, because of c if it is known.
func lose(writes []*write, c *change) {
	for _, w := range writes {
		w.lost = c
		w.done <- outcome{}
	}
}

// attempt commits a batch and returns what it changed. After an error nothing was
// changed, unless the error is the timeout of resolve.
func (d *Database) attempt(ctx context.Context, writes []*write) ([]*change, error) {
	ctx, span := d.traceCommit(ctx, writes)
	defer span.End()
	b := batchAttempt{id: rand.Int64(), writes: writes, after: d.hub.position().rev}
	changes, err := d.send(ctx, &b)
	if hasCode(err, codeCheckViolation) {
		// The counter ran past the last partition of the log.
		if err := d.preparePartitions(ctx); err != nil {
			return nil, err
		}
		changes, err = d.send(ctx, &b)
	}
	if err != nil && isConnectionLoss(err) && !pgconn.SafeToRetry(err) {
		return d.resolve(ctx, &b, err)
	}
	return changes, err
}

// send tries the fast way, which needs every write of the batch without claims to
// succeed, then the slow one, which decides one by one.
func (d *Database) send(ctx context.Context, b *batchAttempt) ([]*change, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, notSentError{err}
	}
	defer conn.Release()
	b.session, _ = conn.Conn().PgConn().CustomData()[sessionKey].(session)

	changes, err := d.sendAll(ctx, conn, b)
	switch {
	case !isConflict(err):
		return changes, err
	case len(b.writes) == 1:
		return nil, nil // its condition does not hold
	default:
		return d.sendEach(ctx, conn, b)
	}
}

// sendAll commits the whole batch in one network round trip: all statements up to the
// pipeline's single sync are one transaction, so the lock of the counter is never held
// while the server waits for us. Revisions go to the writes by their kinds, and last to
// those with claims, which are decided one by one.
func (d *Database) sendAll(ctx context.Context, conn *pgxpool.Conn, b *batchAttempt) ([]*change, error) {
	var (
		batch   pgx.Batch
		base    int64
		ordered []*write
		removed = map[string][]byte{}
		decided []*change
	)
	byKind, claiming := b.columns()
	plain := len(b.writes) - len(claiming.writes)
	if plain > 0 {
		batch.Queue(advanceQuery, plain).QueryRow(func(row pgx.Row) error { return row.Scan(&base) })
	}
	for kind, ops := range byKind {
		if len(ops.writes) == 0 {
			continue
		}
		queued := batch.Queue(statements[kind], ops.arguments(b.id, plain-len(ordered))...)
		if kind == int(deleted) {
			queued.Query(func(rows pgx.Rows) error { return ops.scanRemoved(rows, removed) })
		}
		ordered = append(ordered, ops.writes...)
	}
	if len(claiming.writes) > 0 {
		claiming.queueEach(&batch, b.id, &decided)
	}
	d.queueNotify(&batch)
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	changes := make([]*change, len(ordered))
	for i, w := range ordered {
		changes[i] = w.change(base+int64(i)+1, removed[w.key])
	}
	return append(changes, decided...), nil
}

// statements apply the writes of a batch that are of one kind.
var statements = [...]string{created: createQuery, updated: updateQuery, deleted: deleteQuery}

// arguments are what the statement of a kind takes. Left is how many of the revisions of
// the batch come after those of the statements before.
func (c *columns) arguments(batch int64, left int) []any {
	switch c.kind[0] {
	case created:
		return []any{batch, left, c.key, c.value, c.ttl, c.actor, c.auditID, c.verb, c.source}
	case updated:
		return []any{batch, left, c.key, c.value, c.ttl, c.actor, c.auditID, c.verb, c.source, c.expect}
	default:
		return []any{batch, left, c.key, c.actor, c.auditID, c.verb, c.source, c.expect}
	}
}

// scanRemoved notes the values that deletes removed by their keys.
func (c *columns) scanRemoved(rows pgx.Rows, removed map[string][]byte) error {
	var (
		ord   int64
		value []byte
	)
	_, err := pgx.ForEachRow(rows, []any{nil, &ord, &value}, func() error {
		removed[c.key[ord-1]] = value
		return nil
	})
	return err
}

// sendEach has the server decide write by write.
func (d *Database) sendEach(ctx context.Context, conn *pgxpool.Conn, b *batchAttempt) ([]*change, error) {
	var (
		batch   pgx.Batch
		all     columns
		changes []*change
	)
	for _, w := range b.writes {
		all.add(w)
	}
	all.queueEach(&batch, b.id, &changes)
	d.queueNotify(&batch)
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	return changes, nil
}

// queueEach queues the statement that decides write by write. It adds what was applied
// to changes, in order, and notes in each write why its claims were refused.
func (c *columns) queueEach(batch *pgx.Batch, id int64, changes *[]*change) {
	batch.Queue(applyBatchQuery, id, c.kind, c.key, c.expect, c.value, c.ttl, c.actor, c.auditID, c.verb, c.source, c.claims).Query(
		func(rows pgx.Rows) error {
			var (
				ord     int64
				rev     *int64
				removed []byte
				reason  *refusal
			)
			_, err := pgx.ForEachRow(rows, []any{&ord, &rev, &removed, &reason}, func() error {
				w := c.writes[ord-1]
				if rev == nil {
					w.refused = reason.of(w.claims)
					return nil
				}
				*changes = append(*changes, w.change(*rev, removed))
				return nil
			})
			return err
		})
}

// change is what the write became at revision rev.
func (w *write) change(rev int64, removed []byte) *change {
	c := &change{rev: rev, key: w.key, prev: w.expect, kind: w.kind, value: w.value, previous: removed}
	if w.kind == deleted {
		c.before.set(w.object)
	} else {
		c.current.set(w.object)
	}
	return c
}

// columns holds writes the way statements take them: an array per column.
type columns struct {
	writes  []*write
	kind    []kind
	key     []string
	expect  []int64
	value   [][]byte
	ttl     []int64
	actor   []string
	auditID []string
	verb    []string
	source  []string
	claims  []*claimsParameter
}

func (c *columns) add(w *write) {
	c.writes = append(c.writes, w)
	c.kind = append(c.kind, w.kind)
	c.key = append(c.key, w.key)
	c.expect = append(c.expect, w.expect)
	c.value = append(c.value, w.value)
	c.ttl = append(c.ttl, w.ttl)
	c.actor = append(c.actor, w.actor)
	c.auditID = append(c.auditID, w.auditID)
	c.verb = append(c.verb, w.verb)
	c.source = append(c.source, w.source)
	c.claims = append(c.claims, parameterOf(w.claims))
}

// columns sorts the writes by kind, and those with claims apart.
func (b *batchAttempt) columns() (byKind [3]columns, claiming columns) {
	for _, w := range b.writes {
		if w.claims != nil {
			claiming.add(w)
		} else {
			byKind[w.kind].add(w)
		}
	}
	return byKind, claiming
}
