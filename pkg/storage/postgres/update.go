package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/claims"
)

// update is one GuaranteedUpdate under way.
type update struct {
	storage       *Storage
	key           string
	destination   runtime.Object
	allowMissing  bool
	preconditions *storage.Preconditions
	tryUpdate     storage.UpdateFunc
}

// GuaranteedUpdate implements storage.Interface. A nil time to live returned by
// tryUpdate keeps the expiry of the object.
func (s *Storage) GuaranteedUpdate(
	ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cachedExistingObject runtime.Object,
) error {
	defer observe("update", time.Now())
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	if _, err := conversion.EnforcePtr(destination); err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %w", err)
	}
	u := &update{
		storage:       s,
		key:           key,
		destination:   destination,
		allowMissing:  ignoreNotFound,
		preconditions: preconditions,
		tryUpdate:     tryUpdate,
	}
	var st *state
	if cachedExistingObject != nil {
		st, err = s.suggested(key, cachedExistingObject)
	} else {
		st, err = u.reload(ctx)
	}
	for err == nil && st != nil {
		st, err = u.step(ctx, st)
	}
	return err
}

func (u *update) reload(ctx context.Context) (*state, error) {
	return u.storage.current(ctx, u.key, u.destination, u.allowMissing)
}

// step tries to update from st. It returns the state to try next, nil when done.
func (u *update) step(ctx context.Context, st *state) (*state, error) {
	next, err := u.propose(ctx, st)
	if err != nil {
		return st.orNewer(err, func() (*state, error) { return u.reload(ctx) })
	}
	if bytes.Equal(next.data, st.data) && !st.stale {
		if !st.fresh {
			// Nothing to write, if the suggestion was right.
			if st, err = u.reload(ctx); err != nil || !bytes.Equal(next.data, st.data) {
				return st, err
			}
		}
		if !st.stale {
			return nil, u.storage.decodeInto(st.data, u.destination, st.rev)
		}
	}
	sealed, err := u.storage.seal(ctx, u.key, next.data)
	if err != nil {
		return nil, err
	}
	w := &write{
		kind: updated, key: u.key, expect: st.rev, value: sealed, ttl: next.ttl, claims: next.claims,
		object: u.storage.written(next.obj, next.data),
	}
	if st.rev == 0 {
		w.kind, w.ttl = created, max(next.ttl, 0)
	}
	rev, err := u.storage.write(ctx, w, u.destination)
	if err == nil && rev == 0 {
		return u.storage.afterConflict(ctx, w, u.destination, u.allowMissing)
	}
	return nil, err
}

// proposal is what an update would write.
type proposal struct {
	obj    runtime.Object
	data   []byte
	ttl    int64
	claims *claims.Change
}

// propose has the caller's function make the new object of st.
func (u *update) propose(ctx context.Context, st *state) (next proposal, err error) {
	if err := u.preconditions.Check(u.key, st.obj); err != nil {
		return next, err
	}
	before := u.storage.holding(st) // now, as tryUpdate may change the object in place
	obj, seconds, err := u.tryUpdate(st.obj, storage.ResponseMeta{ResourceVersion: uint64(st.rev)})
	if err != nil {
		return next, err
	}
	next.ttl = keepTTL
	if seconds != nil {
		next.ttl = clampTTL(*seconds)
	}
	if next.claims, err = u.storage.claimsOf(ctx, before, obj, st.rev == 0); err != nil {
		return next, err
	}
	next.obj = obj
	next.data, err = u.storage.encode(obj)
	return next, err
}

// orNewer decides what to do after st was refused because of cause. If st is the
// truth, cause stands; if it was only suggested and the truth is newer, that is next.
func (st *state) orNewer(cause error, reload func() (*state, error)) (*state, error) {
	if st.fresh {
		return nil, cause
	}
	truth, err := reload()
	if err != nil {
		return nil, err
	}
	if truth.rev == st.rev {
		return nil, cause
	}
	return truth, nil
}
