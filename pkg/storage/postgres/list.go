package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

const (
	// maxPage bounds the pages of a list with a limit. The first has the size of the
	// limit, the next ones double while a selector drops objects.
	maxPage = 10000
	// unlimited is a page that holds everything, with room to ask for one more.
	unlimited = math.MaxInt64 - 1
	// maxCount bounds how many keys are counted: a page must not take time by how many
	// follow it.
	maxCount = 10000
)

// listing is one GetList under way.
type listing struct {
	storage *Storage
	opts    storage.ListOptions
	prefix  string
	keys    keyRange
	rev     int64 // what the list is pinned to, 0 until the first page is read

	newItem  func() runtime.Object
	shares   bool          // whether what is decoded may serve other lists
	items    reflect.Value // the slice in the list object
	failures itemFailures

	lastKey  string
	more     bool  // keys follow lastKey
	before   int64 // items of the pages before the last
	inPage   int64 // keys from the start of the last page on, that page included; maxCount+1 for more
	resuming string
}

// GetList implements storage.Interface.
func (s *Storage) GetList(ctx context.Context, key string, opts storage.ListOptions, listObj runtime.Object) error {
	defer observe("list", time.Now())
	key, err := s.key(key, opts.Recursive)
	if err != nil {
		return err
	}
	items, err := itemSlice(listObj)
	if err != nil {
		return err
	}
	keys, rev, continueKey, err := s.start(key, opts)
	if err != nil {
		return err
	}
	l := &listing{
		storage:  s,
		opts:     opts,
		prefix:   key,
		keys:     keys,
		rev:      rev,
		newItem:  itemConstructor(listObj, items),
		shares:   s.shares(items.Type().Elem()),
		items:    items,
		failures: newItemFailures(),
		resuming: continueKey,
	}
	if err := l.read(ctx); err != nil {
		return err
	}
	return l.finish(listObj)
}

// start returns where a list of a validated key begins: the keys, the revision, 0 for the
// latest, and the key that its continue token holds. Every error is a BadRequest.
func (s *Storage) start(key string, opts storage.ListOptions) (keyRange, int64, string, error) {
	keys := s.keys(key, opts.Recursive)
	rev, continueKey, err := storage.ValidateListOptions(key, s.versioner, opts)
	if err != nil && !apierrors.IsBadRequest(err) {
		err = apierrors.NewBadRequest(err.Error())
	}
	if err != nil {
		return keys, 0, "", err
	}
	if rev < 0 { // it was cut to 64 bits with a sign
		return keys, 0, "", impossibleRevision(opts.ResourceVersion)
	}
	if continueKey != "" {
		keys = keys.startAt(continueKey)
		if checkKey(keys.from) != nil {
			return keys, 0, "", apierrors.NewBadRequest("invalid continue token: it holds no key")
		}
	}
	return keys, rev, continueKey, nil
}

// read fills the list page by page, all pages at the same revision.
func (l *listing) read(ctx context.Context) error {
	limit := l.opts.Predicate.Limit
	size := int64(unlimited)
	if limit > 0 {
		size = min(limit, maxPage)
	}
	// The remaining count is only reported to those who page without a selector.
	count := int64(0)
	if limit > 0 && l.opts.Predicate.Empty() {
		count = maxCount + 1
	}
	for {
		p, err := l.page(ctx, size, count)
		if err != nil {
			return translate(ctx, "listing", l.prefix, err)
		}
		if err := l.checkPosition(p.at); err != nil {
			return err
		}
		l.before, l.inPage = int64(l.items.Len()), p.count
		l.more = int64(len(p.records)) > size
		full, err := l.add(ctx, p.records[:min(size, int64(len(p.records)))])
		if err != nil {
			return err
		}
		if full || !l.more {
			return nil
		}
		l.keys = l.keys.startAt(l.lastKey + "\x00")
		size = min(2*size, maxPage)
	}
}

// errValueGone says that the log has lost a value since its key was read.
var errValueGone = errors.New("a value is no longer kept")

// page reads a page of size, and one more key that tells whether there are more. It
// asks for keys alone if some of their values may be in memory.
func (l *listing) page(ctx context.Context, size, count int64) (page, error) {
	if l.shares && l.storage.db.memory.knows(l.storage) {
		p, err := l.readPage(ctx, false, size, count)
		if err == nil {
			err = l.fetch(ctx, p.records[:min(size, int64(len(p.records)))])
		}
		if !errors.Is(err, errValueGone) {
			return p, err
		}
	}
	return l.readPage(ctx, true, size, count)
}

func (l *listing) readPage(ctx context.Context, values bool, size, count int64) (page, error) {
	arrived, decoded := l.decoder(ctx, size)
	defer decoded()
	return l.storage.db.list(ctx, l.keys, values, l.rev, size+1, count, arrived)
}

// fetch gets the values of records that are not in memory. They need not come from the
// snapshot of the keys: a revision has the same value for ever.
func (l *listing) fetch(ctx context.Context, records []*record) error {
	var (
		missing []*record
		revs    []int64
	)
	for _, r := range records {
		if !l.find(r) {
			missing, revs = append(missing, r), append(revs, r.rev)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	values, err := l.storage.db.values(ctx, revs)
	if err != nil {
		return err
	}
	for _, r := range missing {
		if r.value = values[r.rev]; r.value == nil {
			return errValueGone
		}
	}
	arrived, decoded := l.decoder(ctx, int64(len(missing)))
	defer decoded()
	for chunk := range slices.Chunk(missing, chunkRecords) {
		arrived(chunk)
	}
	return nil
}

// find reports whether the record has its value, or memory has it or what it decodes to.
func (l *listing) find(r *record) bool {
	if r.decoded || r.known != nil || r.value != nil {
		return true
	}
	known := l.storage.db.memory.get(l.storage, r.key, r.rev)
	if known != nil && reflect.TypeOf(known).Elem() == l.items.Type().Elem() {
		r.known = known
		return true
	}
	if c := l.storage.db.hub.find(r.rev); c != nil {
		r.value = c.value
	}
	return r.value != nil
}

// checkPosition pins the list to the first page's revision and makes sure that the
// database has it.
func (l *listing) checkPosition(at position) error {
	if l.rev == 0 {
		l.rev = at.rev
		return l.storage.checkMinimum(l.opts.ResourceVersion, at.rev)
	}
	if l.rev > at.rev {
		return storage.NewTooLargeResourceVersionError(uint64(l.rev), uint64(at.rev), 0)
	}
	if l.rev >= at.compact {
		return nil
	}
	if l.opts.Predicate.Continue != "" {
		return continueExpiredError(l.resuming, l.prefix)
	}
	return apierrors.NewResourceExpired(listExpired)
}

// decoder returns a function that decodes the first size records of a page, as far as it
// finds their values, some on each processor, while the next ones are still on their way,
// and one that waits until that is done. If a selector may fill the list before its page
// ends, nothing is decoded ahead.
func (l *listing) decoder(ctx context.Context, size int64) (arrived func([]*record), decoded func()) {
	if l.opts.Predicate.Limit > 0 && !l.opts.Predicate.Empty() {
		return func([]*record) {}, func() {}
	}
	var all sync.WaitGroup
	free := make(chan struct{}, goruntime.GOMAXPROCS(0))
	arrived = func(chunk []*record) {
		chunk = chunk[:min(size, int64(len(chunk)))]
		size -= int64(len(chunk))
		free <- struct{}{} // else rows would pile up
		all.Go(func() {
			defer func() { <-free }()
			for _, r := range chunk {
				if ctx.Err() != nil {
					return
				}
				if l.find(r) {
					l.decode(ctx, r)
				}
			}
		})
	}
	return arrived, all.Wait
}

// add appends the records that match and reports whether the list is full.
func (l *listing) add(ctx context.Context, records []*record) (bool, error) {
	limit := l.opts.Predicate.Limit
	if l.opts.Predicate.Empty() {
		l.items.Grow(len(records))
	}
	for i, r := range records {
		if ctx.Err() != nil {
			return false, storage.NewTimeoutError(r.key, "request did not complete within requested timeout")
		}
		l.lastKey = r.key
		l.decode(ctx, r)
		obj := r.obj
		r.obj = nil
		if r.err != nil {
			if err := l.failures.add(r.key, r.err); err != nil {
				return false, err
			}
			continue
		}
		if obj == nil {
			continue
		}
		l.items.Set(reflect.Append(l.items, reflect.ValueOf(obj).Elem()))
		if limit > 0 && int64(l.items.Len()) >= limit {
			l.more = l.more || i < len(records)-1
			return true, nil
		}
	}
	return false, nil
}

// decode turns the value of a record into its object, unless that was done before or
// the selector does not want it.
func (l *listing) decode(ctx context.Context, r *record) {
	if r.decoded {
		return
	}
	r.decoded = true
	obj, shared := r.known, true
	if obj == nil {
		if obj, r.err = l.object(ctx, r); r.err != nil {
			return
		}
		shared = l.shares && l.storage.db.memory.put(l.storage, r.key, r.rev, obj, len(r.value))
	}
	r.value, r.known = nil, nil // long lists take a while, their bytes need not stay
	// A selector that cannot be evaluated does not match.
	if matches, err := l.opts.Predicate.Matches(obj); err != nil || !matches {
		return
	}
	if shared {
		obj = obj.DeepCopyObject()
	}
	r.obj = obj
}

func (l *listing) object(ctx context.Context, r *record) (runtime.Object, error) {
	data, _, err := l.storage.open(ctx, r.key, r.value)
	if err != nil {
		return nil, storage.NewInternalError(fmt.Errorf("unable to transform key %q: %w", r.key, err))
	}
	obj, _, err := l.storage.resource.Codec.Decode(data, nil, l.newItem())
	if err != nil {
		return nil, l.storage.corrupt("decoding", r.rev, err)
	}
	return obj, l.storage.setVersion(obj, r.rev)
}

// finish sets the metadata of the list.
func (l *listing) finish(listObj runtime.Object) error {
	if err := l.failures.result(); err != nil {
		return err
	}
	if l.items.IsNil() { // encodes as [] rather than null
		l.items.Set(reflect.MakeSlice(l.items.Type(), 0, 0))
	}
	token, remaining, err := storage.PrepareContinueToken(l.lastKey, l.prefix, l.rev, l.before+l.inPage, l.more, l.opts)
	if err != nil {
		return err
	}
	if l.inPage > maxCount {
		remaining = nil // the API lets it be unknown
	}
	if err := l.storage.versioner.UpdateList(listObj, uint64(l.rev), token, remaining); err != nil {
		return err
	}
	if utilfeature.DefaultFeatureGate.Enabled(features.ShardedListAndWatch) {
		l.opts.Predicate.SetShardInfoOnList(listObj)
	}
	return nil
}

func itemSlice(listObj runtime.Object) (reflect.Value, error) {
	pointer, err := meta.GetItemsPtr(listObj)
	if err != nil {
		return reflect.Value{}, err
	}
	items, err := conversion.EnforcePtr(pointer)
	if err != nil {
		return reflect.Value{}, fmt.Errorf("list items: %w", err)
	}
	if items.Kind() != reflect.Slice {
		return reflect.Value{}, fmt.Errorf("list items: need a slice, have %s", items.Kind())
	}
	return items, nil
}

// shares reports whether lists may share what they decode as items of a type. How
// unstructured items are decoded depends on the list. What is encrypted stays so in
// memory, and is unreadable as soon as its transformer says so.
func (s *Storage) shares(item reflect.Type) bool {
	return s.resource.Transformer == nil && item != reflect.TypeFor[unstructured.Unstructured]()
}

// itemConstructor returns a function that makes empty items of a list. Unstructured
// items take the API version of their list.
func itemConstructor(listObj runtime.Object, items reflect.Value) func() runtime.Object {
	if list, ok := listObj.(*unstructured.UnstructuredList); ok && list.GetAPIVersion() != "" {
		return func() runtime.Object {
			return &unstructured.Unstructured{Object: map[string]any{"apiVersion": list.GetAPIVersion()}}
		}
	}
	item := items.Type().Elem()
	return func() runtime.Object { return reflect.New(item).Interface().(runtime.Object) }
}
