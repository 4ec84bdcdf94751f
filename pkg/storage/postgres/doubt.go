package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
)

const (
	// doubtTimeout is how long the authors of a batch wait for the database to return.
	doubtTimeout = 30 * time.Second
	doubtDelay   = 100 * time.Millisecond
)

// notSentError marks an error that came before anything was sent.
type notSentError struct{ error }

func (e notSentError) Unwrap() error { return e.error }

// SafeToRetry tells pgconn.SafeToRetry that nothing can have happened.
func (e notSentError) SafeToRetry() bool { return true }

// resolve finds out what became of a batch whose connection was lost with err. It
// never sends the batch again: either its rows are found in the log, or the session it
// was sent to is certainly over without them.
func (d *Database) resolve(ctx context.Context, b *batchAttempt, lost error) ([]*change, error) {
	logger := klog.FromContext(ctx)
	logger.Info("Lost the connection during a commit, looking up its outcome", "writes", len(b.writes), "err", lost)
	deadline := time.Now().Add(doubtTimeout)
	if errors.Is(lost, context.DeadlineExceeded) {
		d.pool.Reset() // the other connections may lead to where nobody answers as well
	}
	for {
		changes, err := d.lookUp(ctx, b)
		switch {
		case err == nil && len(changes) > 0:
			logger.Info("The commit had succeeded", "writes", len(changes))
			forget(b.writes, changes, lost)
			return changes, nil
		case err == nil:
			return nil, unavailable(lost)
		case time.Now().After(deadline) || !sleep(ctx, doubtDelay):
			return nil, apierrors.NewTimeoutError(
				fmt.Sprintf("the database was lost during the write, which may have succeeded: %s; read the object before trying again", cause(lost)), 1)
		}
	}
}

// forget answers the writes with claims that a batch did not apply: whether their
// condition failed or their claims were refused was said on the lost connection alone.
func forget(writes []*write, changes []*change, lost error) {
	applied := make(map[string]bool, len(changes))
	for _, c := range changes {
		applied[c.key] = true
	}
	for _, w := range writes {
		if w.refused = nil; w.claims != nil && !applied[w.key] {
			w.refused = unavailable(lost)
		}
	}
}

// lookUp ends the session of a batch and returns what the batch had changed.
func (d *Database) lookUp(ctx context.Context, b *batchAttempt) ([]*change, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var ended bool
	err := d.pool.QueryRow(ctx, endSessionQuery, b.session.pid, b.session.started).Scan(&ended)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("ending session: %w", err)
	}
	if err == nil && !ended {
		return nil, errors.New("ending session: it does not end")
	}
	byKey := make(map[string]*write, len(b.writes))
	for _, w := range b.writes {
		byKey[w.key] = w
	}
	rows, err := d.pool.Query(ctx, findBatchQuery, b.after, b.id)
	if err != nil {
		return nil, fmt.Errorf("finding batch: %w", err)
	}
	var (
		changes []*change
		key     string
		rev     int64
		removed []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&key, &rev, &removed}, func() error {
		changes = append(changes, byKey[key].change(rev, removed))
		return nil
	})
	return changes, err
}
