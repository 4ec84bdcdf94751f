package postgres

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// deletion is one Delete under way.
type deletion struct {
	storage       *Storage
	key           string
	out           runtime.Object
	preconditions *storage.Preconditions
	validate      storage.ValidateObjectFunc
	unsafe        bool // the object is expected to be unreadable
}

// Delete implements storage.Interface. out receives the last state of the object with
// the revision of the deletion, unless the deletion is unsafe.
func (s *Storage) Delete(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cachedExistingObject runtime.Object, opts storage.DeleteOptions,
) error {
	defer observe("delete", time.Now())
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	if _, err := conversion.EnforcePtr(out); err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %w", err)
	}
	d := &deletion{
		storage:       s,
		key:           key,
		out:           out,
		preconditions: preconditions,
		validate:      validateDeletion,
		unsafe: opts.ExpectTransformOrDecodeError &&
			utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion),
	}
	var st *state
	if cachedExistingObject != nil && !d.unsafe {
		st, err = s.suggested(key, cachedExistingObject)
	} else {
		st, err = d.reload(ctx)
	}
	for err == nil && st != nil {
		st, err = d.step(ctx, st)
	}
	return err
}

func (d *deletion) reload(ctx context.Context) (*state, error) {
	if d.unsafe {
		return d.storage.unreadable(ctx, d.key, d.out)
	}
	return d.storage.current(ctx, d.key, d.out, false)
}

// step tries to delete st. It returns the state to try next, nil when done.
func (d *deletion) step(ctx context.Context, st *state) (*state, error) {
	if err := d.allow(ctx, st.obj); err != nil {
		return st.orNewer(err, func() (*state, error) { return d.reload(ctx) })
	}
	w, out := &write{kind: deleted, key: d.key, expect: st.rev}, d.out
	if d.unsafe {
		out = nil
	} else {
		w.object = d.storage.shared(st.rev, st.data)
	}
	rev, err := d.storage.write(ctx, w, out)
	switch {
	case err != nil || rev != 0:
		return nil, err
	case d.unsafe:
		return d.reload(ctx)
	default:
		return d.storage.afterConflict(ctx, w, d.out, false)
	}
}

func (d *deletion) allow(ctx context.Context, obj runtime.Object) error {
	if d.preconditions != nil {
		if err := d.preconditions.Check(d.key, obj); err != nil {
			return err
		}
	}
	return d.validate(ctx, obj)
}
