package postgres

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// state is what an update or delete starts from.
type state struct {
	obj   runtime.Object
	rev   int64 // 0 if the key does not exist
	data  []byte
	stale bool // data should be stored again
	fresh bool // read from the database, not suggested by the caller
}

// suggested makes a state of an object the caller has in a cache, which may be out of
// date.
func (s *Storage) suggested(key string, obj runtime.Object) (*state, error) {
	version, err := s.versioner.ObjectResourceVersion(obj)
	if err != nil {
		return nil, fmt.Errorf("reading resource version: %w", err)
	}
	if data := s.recent(key, int64(version)); data != nil {
		return &state{obj: obj, rev: int64(version), data: data}, nil
	}
	data, err := s.encode(obj)
	if err != nil {
		return nil, err
	}
	if err := s.setVersion(obj, int64(version)); err != nil { // which encode has cleared
		return nil, err
	}
	return &state{obj: obj, rev: int64(version), data: data}, nil
}

// current reads the state of a key from the database, with an object of the type of
// like. For a key that does not exist it is an error or, if allowed, a zero object.
func (s *Storage) current(ctx context.Context, key string, like runtime.Object, allowMissing bool) (*state, error) {
	found, _, err := s.db.get(ctx, key)
	if err != nil {
		return nil, translate(ctx, "reading", key, err)
	}
	return s.stateOf(ctx, key, found, like, allowMissing)
}

// afterConflict is what current returns once the condition of w did not hold. If the
// write that won was answered with it, the outcome of that is the state.
func (s *Storage) afterConflict(ctx context.Context, w *write, like runtime.Object, allowMissing bool) (*state, error) {
	switch won := w.lost; {
	case won == nil:
		return s.current(ctx, w.key, like, allowMissing)
	case won.kind == deleted:
		return s.stateOf(ctx, w.key, nil, like, allowMissing)
	default:
		return s.stateOf(ctx, w.key, &record{key: w.key, rev: won.rev, value: won.value}, like, allowMissing)
	}
}

// stateOf makes a state of what a key has, nil for nothing.
func (s *Storage) stateOf(
	ctx context.Context, key string, found *record, like runtime.Object, allowMissing bool,
) (_ *state, err error) {
	st := &state{obj: emptyLike(like), fresh: true}
	if found == nil {
		if !allowMissing {
			return nil, storage.NewKeyNotFoundError(key, 0)
		}
		return st, nil
	}
	st.rev = found.rev
	if st.data, st.stale, err = s.open(ctx, key, found.value); err != nil {
		return nil, storage.NewInternalError(err)
	}
	if err := s.shared(st.rev, st.data).into(st.obj, st.rev); err != nil {
		return nil, err
	}
	return st, nil
}

// unreadable reads the state of a key whose value is expected not to decode, for its
// unsafe deletion. It refuses one that does.
func (s *Storage) unreadable(ctx context.Context, key string, like runtime.Object) (*state, error) {
	found, _, err := s.db.get(ctx, key)
	if err != nil {
		return nil, translate(ctx, "reading", key, err)
	}
	if found == nil {
		return nil, storage.NewKeyNotFoundError(key, 0)
	}
	if s.readable(ctx, found, like) {
		return nil, storage.NewInvalidObjError(key,
			"unsafe deletion is not allowed because the object is decodable from storage")
	}
	return &state{rev: found.rev, fresh: true}, nil
}

func (s *Storage) readable(ctx context.Context, r *record, like runtime.Object) bool {
	data, _, err := s.open(ctx, r.key, r.value)
	return err == nil && s.decodeInto(data, emptyLike(like), r.rev) == nil
}

func emptyLike(obj runtime.Object) runtime.Object {
	if u, ok := obj.(runtime.Unstructured); ok {
		return u.NewEmptyInstance()
	}
	return reflect.New(reflect.TypeOf(obj).Elem()).Interface().(runtime.Object)
}
