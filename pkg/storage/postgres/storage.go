package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	utilfeature "k8s.io/apiserver/pkg/util/feature"

	"platform.dev/stores/pkg/storage/claims"
	"platform.dev/stores/pkg/storage/history"
)

const (
	// maxValueBytes is what generic API servers accept as a request body: whatever gets
	// through them can be stored.
	maxValueBytes = 3 << 20
	// maxTTL is a hundred years, which no date overflows.
	maxTTL = 100 * 365 * 24 * 60 * 60
	// keepTTL leaves the expiry of a key as it is.
	keepTTL = -1
)

// Resource describes one resource to be stored.
type Resource struct {
	// GroupResource names the resource in errors.
	GroupResource schema.GroupResource
	// Prefix is the folder of all keys of the resource, "/platform.dev/stores" for
	// example. No other resource may have a prefix inside it.
	Prefix string
	// Codec encodes and decodes objects in the version they are stored in. That of
	// package codec decodes twice as fast as the API server library's.
	Codec runtime.Codec
	// Transformer encrypts values at rest. Optional.
	Transformer value.Transformer
	// RoundTrips promises that whatever Codec encodes it decodes to an equal object, as
	// far as clients can tell, defaults included. Only times in metadata may be finer
	// than seconds. A copy of what is written then stands for decoding it again, which is
	// most of the work of a write. It is up to the caller to have tests of that. False
	// costs time only.
	RoundTrips bool
	// Claims are what objects take up beyond their keys. Optional.
	Claims *claims.Rules
	// NewFunc and NewListFunc return an empty object and an empty list.
	NewFunc, NewListFunc func() runtime.Object
}

// Storage is the objects of one resource in a Database. It has nothing to be closed;
// it must not be used after the Database is.
type Storage struct {
	db           *Database
	resource     Resource
	prefix       string // ends in "/"
	transformer  value.Transformer
	versioner    storage.Versioner
	marksCorrupt bool                  // whether errors of unreadable values are corruptErrors
	sizes        atomic.Bool           // whether Stats estimates sizes
	counted      atomic.Pointer[count] // by the last Stats; nil before
}

var _ storage.Interface = (*Storage)(nil)

// NewStorage returns the storage of one resource. If its objects make claims, those of
// objects stored without are made up for first. Unlike the Storage it wraps, it
// reports objects that cannot be decoded in a way the registry understands, if the
// feature AllowUnsafeMalformedObjectDeletion is enabled.
func (d *Database) NewStorage(resource Resource) (storage.Interface, error) {
	if resource.NewFunc == nil || resource.NewListFunc == nil {
		return nil, fmt.Errorf("storage of %s: object constructors are required", resource.GroupResource)
	}
	s, err := d.newStorage(resource)
	if err != nil {
		return nil, err
	}
	if utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion) {
		s.marksCorrupt = true
		return &corruptionReporter{Interface: s, resource: resource.GroupResource}, nil
	}
	return s, nil
}

func (d *Database) newStorage(resource Resource) (*Storage, error) {
	if !strings.HasPrefix(resource.Prefix, "/") || strings.Trim(resource.Prefix, "/") == "" {
		return nil, fmt.Errorf("storage of %s: prefix %q must start with a slash and name something",
			resource.GroupResource, resource.Prefix)
	}
	if resource.Codec == nil {
		return nil, fmt.Errorf("storage of %s: a codec is required", resource.GroupResource)
	}
	s := &Storage{
		db:          d,
		resource:    resource,
		prefix:      strings.TrimRight(resource.Prefix, "/") + "/",
		transformer: resource.Transformer,
		versioner:   storage.APIObjectVersioner{},
	}
	if s.transformer == nil {
		s.transformer = identity.NewEncryptCheckTransformer()
	}
	if resource.Claims == nil {
		return s, nil
	}
	if err := s.restoreClaims(d.background); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", resource.GroupResource, err)
	}
	d.running.Go(func() { every(d.background, claimScanInterval, "claims", s.restoreClaims) })
	return s, nil
}

// Versioner implements storage.Interface.
func (s *Storage) Versioner() storage.Versioner { return s.versioner }

// ReadinessCheck implements storage.Interface. The server checks the Database itself.
func (s *Storage) ReadinessCheck() error { return nil }

// CompactRevision implements storage.Interface.
func (s *Storage) CompactRevision() int64 {
	if compact := s.db.hub.position().compact; compact > 1 {
		return compact
	}
	return 0 // nothing compacted yet
}

// GetCurrentResourceVersion implements storage.Interface. Requests share reads of the
// database. Whoever asks is about to wait for a watch to get there, so watches report
// it without being asked.
func (s *Storage) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	at, err := s.db.index.get(ctx)
	if err != nil {
		return 0, translate(ctx, "reading the current revision", s.prefix, err)
	}
	s.db.hub.expect(at.rev)
	return uint64(at.rev), nil
}

// RequestWatchProgress implements storage.Interface.
func (s *Storage) RequestWatchProgress(context.Context) error {
	s.db.hub.requestProgress()
	return nil
}

// key validates a key of a request.
func (s *Storage) key(key string, recursive bool) (string, error) {
	key, err := storage.PrepareKey(s.prefix, key, recursive)
	if err != nil {
		return "", err
	}
	return key, checkKey(key)
}

// keys returns the range of a validated key.
func (s *Storage) keys(key string, recursive bool) keyRange {
	if recursive {
		return prefixRange(key)
	}
	return singleKey(key)
}

// encode turns an object into the bytes to be compared. It clears the fields that are
// not stored.
func (s *Storage) encode(obj runtime.Object) ([]byte, error) {
	if err := s.versioner.PrepareObjectForStorage(obj); err != nil {
		return nil, fmt.Errorf("preparing object for storage: %w", err)
	}
	return runtime.Encode(s.resource.Codec, obj)
}

// seal turns encoded bytes into the bytes to be stored.
func (s *Storage) seal(ctx context.Context, key string, data []byte) ([]byte, error) {
	sealed, err := s.transformer.TransformToStorage(ctx, data, authenticatedKey(key))
	if err != nil {
		return nil, storage.NewInternalError(err)
	}
	if len(sealed) > maxValueBytes {
		return nil, tooLarge("object", len(sealed), maxValueBytes)
	}
	return sealed, nil
}

// open is the reverse of seal. Stale bytes should be written again by the next update,
// even if the object does not change.
func (s *Storage) open(ctx context.Context, key string, sealed []byte) (data []byte, stale bool, err error) {
	data, stale, err = s.transformer.TransformFromStorage(ctx, sealed, authenticatedKey(key))
	if err != nil {
		return nil, false, s.corrupt("transforming", 0, err)
	}
	return data, stale, nil
}

// decodeInto fills obj from encoded bytes.
func (s *Storage) decodeInto(data []byte, obj runtime.Object, rev int64) error {
	if _, _, err := s.resource.Codec.Decode(data, nil, obj); err != nil {
		return s.corrupt("decoding", rev, err)
	}
	return s.setVersion(obj, rev)
}

// decode returns the object of stored bytes.
func (s *Storage) decode(ctx context.Context, key string, sealed []byte, rev int64) (runtime.Object, error) {
	data, _, err := s.open(ctx, key, sealed)
	if err != nil {
		return nil, err
	}
	obj, err := runtime.Decode(s.resource.Codec, data)
	if err != nil {
		return nil, s.corrupt("decoding", rev, err)
	}
	if err := s.setVersion(obj, rev); err != nil { // it is no object
		return nil, s.corrupt("decoding", rev, err)
	}
	return obj, nil
}

// corrupt marks the error of an unreadable value as such.
func (s *Storage) corrupt(doing string, rev int64, err error) error {
	if !s.marksCorrupt {
		return err
	}
	return &corruptError{doing: doing, rev: rev, err: err}
}

func (s *Storage) setVersion(obj runtime.Object, rev int64) error {
	if err := s.versioner.UpdateObject(obj, uint64(rev)); err != nil {
		return fmt.Errorf("setting resource version %d: %w", rev, err)
	}
	return nil
}

// authenticatedKey binds a value to its key: a transformer that authenticates data
// refuses one copied from another key.
type authenticatedKey string

// AuthenticatedData implements value.Context.
func (k authenticatedKey) AuthenticatedData() []byte { return []byte(k) }

// write queues a write and waits for its outcome. A revision of 0 means that the
// condition did not hold. If out is not nil it receives the object of the write.
func (s *Storage) write(ctx context.Context, w *write, out runtime.Object) (int64, error) {
	if user, ok := request.UserFrom(ctx); ok {
		w.actor = user.GetName()
	}
	w.auditID = audit.GetAuditIDTruncated(ctx)
	if info, ok := request.RequestInfoFrom(ctx); ok {
		w.verb = info.Verb
	}
	w.source = strings.Join(history.SourceOf(ctx), ",")
	done := s.db.writes.submit(ctx, w)
	if out != nil {
		_, _ = w.object.get(0) // while the database works; into tells what is wrong
	}
	rev, err := s.wait(ctx, w, done)
	if err != nil || rev == 0 || out == nil {
		return rev, err
	}
	return rev, w.object.into(out, rev)
}

func (s *Storage) wait(ctx context.Context, w *write, done <-chan outcome) (int64, error) {
	select {
	case result := <-done:
		if err := result.err; err != nil {
			return 0, translate(ctx, "writing", w.key, err)
		}
		return result.rev, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return 0, storage.NewTimeoutError(w.key, "the write did not complete in time, it may still succeed")
		}
		return 0, ctx.Err()
	}
}

// clampTTL turns the seconds of a request into those of a write.
func clampTTL(ttl uint64) int64 {
	return int64(min(ttl, maxTTL))
}
