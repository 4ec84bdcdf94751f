package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrEnded is why a stream ended whose token may not be used any more.
var ErrEnded = errors.New("the session has ended or has a new token")

// Streams are the requests under way, by session. They end with it, so that
// nobody goes on watching with a token that was replaced or signed out.
type Streams struct {
	mu     sync.Mutex
	cancel map[ID]map[*context.CancelCauseFunc]struct{}
}

// Begin returns a context that ends when the session's token does, at end at the
// latest, or with End. The caller calls done when the request is over.
func (s *Streams) Begin(ctx context.Context, of *Session, end time.Time) (stream context.Context, done func()) {
	if until := of.ValidUntil(); until.Before(end) {
		end = until
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithDeadlineCause(ctx, end, ErrEnded)
	id, key := of.ID(), &cancel
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil {
		s.cancel = map[ID]map[*context.CancelCauseFunc]struct{}{}
	}
	if s.cancel[id] == nil {
		s.cancel[id] = map[*context.CancelCauseFunc]struct{}{}
	}
	s.cancel[id][key] = struct{}{}
	return ctx, func() {
		stop()
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(s.cancel[id], key); len(s.cancel[id]) == 0 {
			delete(s.cancel, id)
		}
	}
}

// End ends every request under way with the session's token.
func (s *Streams) End(of *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cancel := range s.cancel[of.ID()] {
		(*cancel)(ErrEnded)
	}
}
