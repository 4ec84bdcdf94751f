package postgres

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/claims"
)

// Create implements storage.Interface.
func (s *Storage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	defer observe("create", time.Now())
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	if version, err := s.versioner.ObjectResourceVersion(obj); err == nil && version != 0 {
		return storage.ErrResourceVersionSetOnCreate
	}
	change, err := s.claimsOf(ctx, claims.Holding{}, obj, true)
	if err != nil {
		return err
	}
	data, err := s.encode(obj)
	if err != nil {
		return err
	}
	sealed, err := s.seal(ctx, key, data)
	if err != nil {
		return err
	}
	rev, err := s.write(ctx, &write{
		kind: created, key: key, value: sealed, ttl: clampTTL(ttl), claims: change, object: s.written(obj, data),
	}, out)
	if err == nil && rev == 0 {
		return storage.NewKeyExistsError(key, 0)
	}
	return err
}
