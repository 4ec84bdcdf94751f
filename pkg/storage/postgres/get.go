package postgres

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// Get implements storage.Interface. The object is always the latest one.
func (s *Storage) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	defer observe("get", time.Now())
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	found, rev, err := s.db.get(ctx, key)
	if err != nil {
		return translate(ctx, "reading", key, err)
	}
	if err := s.checkMinimum(opts.ResourceVersion, rev); err != nil {
		return err
	}
	if found == nil {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(out)
		}
		return storage.NewKeyNotFoundError(key, 0)
	}
	data, _, err := s.open(ctx, key, found.value)
	if err != nil {
		return storage.NewInternalError(err)
	}
	return s.shared(found.rev, data).into(out, found.rev)
}

// checkMinimum refuses to answer from a state older than the client has seen.
func (s *Storage) checkMinimum(minimum string, rev int64) error {
	if minimum == "" {
		return nil
	}
	wanted, err := s.versioner.ParseResourceVersion(minimum)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	if wanted > uint64(rev) {
		return storage.NewTooLargeResourceVersionError(wanted, uint64(rev), 0)
	}
	return nil
}
