package provisioner

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

// queueName is the queue's name in metrics.
const queueName = "stores"

// agedQueue holds the stores that wait for a worker, first in, first out, and
// knows since when. It implements workqueue.Queue.
type agedQueue struct {
	now func() time.Time

	mu    sync.Mutex
	items []waitingStore
}

type waitingStore struct {
	key   cache.ObjectName
	since time.Time
}

// Touch leaves a store that is woken again where it is.
func (q *agedQueue) Touch(cache.ObjectName) {}

// Push adds a store at the end.
func (q *agedQueue) Push(key cache.ObjectName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, waitingStore{key, q.now()})
}

// Len is how many stores wait.
func (q *agedQueue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Pop takes the store that has waited longest.
func (q *agedQueue) Pop() cache.ObjectName {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := q.items[0].key
	q.items[0] = waitingStore{}
	q.items = q.items[1:]
	return key
}

// age is how long the first has waited, or 0.
func (q *agedQueue) age(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return 0
	}
	return max(now.Sub(q.items[0].since), 0)
}
