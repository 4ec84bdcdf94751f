package postgres

import (
	"bytes"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// object is a stored value and what it decodes to, which is found out once for the
// writer of the value and all watches. Nobody changes it: each gets a copy.
type object struct {
	storage *Storage
	data    []byte // as encoded

	once    sync.Once
	decoded runtime.Object // without a resource version
	err     error
}

// newObject takes over data.
func (s *Storage) newObject(data []byte) *object {
	return &object{storage: s, data: data}
}

// written returns the object of a write: obj, from which data was encoded. Of its
// metadata the encoding has left out the fractions of seconds.
func (s *Storage) written(obj runtime.Object, data []byte) *object {
	o := s.newObject(data)
	if s.resource.RoundTrips {
		o.once.Do(func() {
			o.decoded = obj.DeepCopyObject()
			o.err = toSeconds(o.decoded)
		})
	}
	return o
}

// toSeconds drops what the times in an object's metadata have below the second.
func toSeconds(obj runtime.Object) error {
	object, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	object.SetCreationTimestamp(object.GetCreationTimestamp().Rfc3339Copy())
	if deleted := object.GetDeletionTimestamp(); deleted != nil {
		*deleted = deleted.Rfc3339Copy()
	}
	for _, fields := range object.GetManagedFields() {
		if fields.Time != nil {
			*fields.Time = fields.Time.Rfc3339Copy()
		}
	}
	return nil
}

// shared returns the object with value data of a revision, which whoever wrote it or
// watched it may already have decoded.
func (s *Storage) shared(rev int64, data []byte) *object {
	if c := s.db.hub.find(rev); c != nil {
		return c.current.of(s, data)
	}
	return s.newObject(data)
}

// recent returns what a key had at a revision, as encoded: nil unless it was written or
// watched lately.
func (s *Storage) recent(key string, rev int64) []byte {
	c := s.db.hub.find(rev)
	if c == nil || c.key != key {
		return nil
	}
	if o := c.current.get(); o != nil && o.storage == s {
		return o.data
	}
	return nil
}

// get decodes the object, unless that was done before, and returns it to be read only.
func (o *object) get(rev int64) (runtime.Object, error) {
	o.once.Do(func() { o.decoded, o.err = runtime.Decode(o.storage.resource.Codec, o.data) })
	if o.err != nil {
		return nil, o.storage.corrupt("decoding", rev, o.err)
	}
	return o.decoded, nil
}

// at returns a copy of the object, as of a revision.
func (o *object) at(rev int64) (runtime.Object, error) {
	decoded, err := o.get(rev)
	if err != nil {
		return nil, err
	}
	obj := decoded.DeepCopyObject()
	return obj, o.storage.setVersion(obj, rev)
}

// into fills out with the object, as of a revision.
func (o *object) into(out runtime.Object, rev int64) error {
	obj, err := o.at(rev)
	if err != nil {
		return err
	}
	from, to := reflect.ValueOf(obj), reflect.ValueOf(out)
	if from.Type() != to.Type() { // the caller wants another version
		return o.storage.decodeInto(o.data, out, rev)
	}
	to.Elem().Set(from.Elem())
	return nil
}

// memo keeps the object of a value as long as many are likely to ask for it.
type memo struct {
	mu        sync.Mutex
	object    *object
	forgotten bool // nothing is kept any longer
}

// of returns the object with value data for s. It is not shared with other storages,
// which may decode otherwise.
func (m *memo) of(s *Storage, data []byte) *object {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.object == nil && !m.forgotten {
		m.object = s.newObject(data)
	}
	if m.object != nil && m.object.storage == s && bytes.Equal(m.object.data, data) {
		return m.object
	}
	return s.newObject(data)
}

// get returns what the memo keeps, nil if that is nothing.
func (m *memo) get() *object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.object
}

// set replaces what the memo keeps, unless it is to keep nothing.
func (m *memo) set(o *object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.forgotten {
		m.object = o
	}
}

// forget drops what the memo keeps and has it keep nothing from now on.
func (m *memo) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.object, m.forgotten = nil, true
}
