package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// sweepInterval is how long an object may go unlisted and surely be kept. After twice
// that it is gone.
const sweepInterval = 5 * time.Minute

// memory keeps decoded objects for lists that come again: of each key the latest
// revision that was listed. Which revision a key has, only the database knows; a
// revision never has another value, so what is found here is never out of date.
//
// When it is full it takes nothing more until a sweep has made room: so a list that is
// larger than the memory, and comes again, finds as much as fits.
type memory struct {
	bound int

	mu      sync.RWMutex
	objects map[string]*remembered // by key
	bytes   int
	counts  map[*Storage]int // how many of objects belong to a storage

	hits, misses atomic.Int64 // objects of lists that were found, and that were offered
}

// remembered is an object with its resource version. It is shared: nobody may change it.
type remembered struct {
	storage *Storage // others may decode otherwise
	rev     int64
	obj     runtime.Object
	size    int
	used    atomic.Bool // since the last sweep
}

// newMemory makes a memory for values of so many bytes as stored.
func newMemory(bound int) *memory {
	return &memory{bound: bound, objects: map[string]*remembered{}, counts: map[*Storage]int{}}
}

// knows reports whether there is any object of s.
func (m *memory) knows(s *Storage) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.counts[s] > 0
}

// get returns what s has decoded of a key at a revision, to be read only, or nil.
func (m *memory) get(s *Storage, key string, rev int64) runtime.Object {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.objects[key]
	if r == nil || r.storage != s || r.rev != rev {
		return nil
	}
	r.used.Store(true)
	m.hits.Add(1)
	return r.obj
}

// put offers what s has decoded of a value of so many bytes. If it is taken the caller
// may only read obj from then on.
func (m *memory) put(s *Storage, key string, rev int64, obj runtime.Object, size int) (taken bool) {
	m.misses.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	freed := 0
	if before := m.objects[key]; before != nil {
		if before.rev >= rev {
			return false
		}
		freed = before.size
	}
	if m.bytes-freed+size > m.bound {
		return false
	}
	m.drop(key)
	r := &remembered{storage: s, rev: rev, obj: obj, size: size}
	r.used.Store(true)
	m.objects[key] = r
	m.bytes += size
	m.counts[s]++
	return true
}

// drop forgets a key, if it is known.
func (m *memory) drop(key string) {
	if r := m.objects[key]; r != nil {
		delete(m.objects, key)
		m.bytes -= r.size
		m.counts[r.storage]--
	}
}

// sweep forgets what was not used since the last sweep: keys that are gone, and objects
// nobody lists any longer, as those a watch cache has read to keep them itself.
func (m *memory) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.objects {
		if !r.used.Swap(false) {
			m.drop(key)
		}
	}
}

func (m *memory) sweepRegularly(ctx context.Context) {
	for sleep(ctx, sweepInterval) {
		m.sweep()
	}
}

// size returns the bytes that the values kept take as stored.
func (m *memory) size() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes
}
