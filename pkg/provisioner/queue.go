package provisioner

import (
	"container/list"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// queueName is the queue's name in metrics.
const queueName = "stores"

// lane is the kind of work that a store waits for. Lanes take turns, so that a
// flood in one delays what waits in another by one store.
type lane int

const (
	// laneCreate is for stores of which there is no release.
	laneCreate lane = iota
	// laneStart is for stores with a release that have never been ready. They do not
	// wait for all others to be installed, so that of many the first is soon ready.
	laneStart
	// laneChange is for stores that were ready, and not yet with their present spec.
	laneChange
	// laneRepair is for stores that are as they were asked for, or were: something of
	// theirs has changed, or their engine has.
	laneRepair
	// laneDelete is for stores that go.
	laneDelete
	laneCount
)

// String is the lane's name in metrics and messages.
func (l lane) String() string {
	return [laneCount]string{"create", "start", "change", "repair", "delete"}[l]
}

// laneFor is the lane that the store waits in.
func laneFor(s *v1alpha1.Store) lane {
	release := s.Status.Release
	switch {
	case s.DeletionTimestamp != nil:
		return laneDelete
	case release == nil:
		return laneCreate
	case release.Ready == nil:
		return laneStart
	case release.Ready.Generation != s.Generation && release.Failed == nil:
		return laneChange
	}
	return laneRepair
}

// classify says where the store that key names waits, by what the cache holds of it.
// One that is gone has only to be forgotten.
func (c *Controller) classify(key cache.ObjectName) (lane, string) {
	store, err := c.storeLister.Stores(key.Namespace).Get(key.Name)
	if err != nil {
		return laneDelete, ""
	}
	return laneFor(store), store.Spec.Owner
}

// fairQueue holds the stores that wait for a worker, and knows since when. Lanes take
// turns, and so do the owners within a lane; the stores of one owner are first in,
// first out. All of it takes the same time however many wait. It implements
// workqueue.Queue.
type fairQueue struct {
	// classify says in which lane a store is to wait, and as whose.
	classify func(cache.ObjectName) (lane, string)
	now      func() time.Time

	mu      sync.Mutex
	lanes   [laneCount]turns
	next    lane // the lane whose turn it is
	waiting map[cache.ObjectName]*waitingStore
}

type waitingStore struct {
	key   cache.ObjectName
	since time.Time
	lane  lane
	owner string
	// place is the store's in its owner's line.
	place *list.Element
}

func newFairQueue(classify func(cache.ObjectName) (lane, string), now func() time.Time) *fairQueue {
	return &fairQueue{classify: classify, now: now, waiting: map[cache.ObjectName]*waitingStore{}}
}

// Push adds a store.
func (q *fairQueue) Push(key cache.ObjectName) {
	lane, owner := q.classify(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(&waitingStore{key: key, since: q.now(), lane: lane, owner: owner})
}

// Touch leaves a store that is woken again where it is, unless it now waits for
// another kind of work: who deletes a store does not wait for its creation.
func (q *fairQueue) Touch(key cache.ObjectName) {
	lane, owner := q.classify(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.waiting[key]
	if s == nil || (s.lane == lane && s.owner == owner) {
		return
	}
	q.lanes[s.lane].remove(s)
	q.add(&waitingStore{key: key, since: s.since, lane: lane, owner: owner})
}

func (q *fairQueue) add(s *waitingStore) {
	q.waiting[s.key] = s
	q.lanes[s.lane].push(s)
}

// Len is how many stores wait.
func (q *fairQueue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Pop takes the store whose turn it is. There must be one.
func (q *fairQueue) Pop() cache.ObjectName {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.lanes[q.next].order.Len() == 0 {
		q.next = (q.next + 1) % laneCount
	}
	s := q.lanes[q.next].pop()
	q.next = (q.next + 1) % laneCount
	delete(q.waiting, s.key)
	return s.key
}

// inLane lists the stores that wait in the lane, in the order in which they are taken
// if no others come. It is for those who tell of the queue, and takes time for each.
func (q *fairQueue) inLane(l lane) []waitingStore {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[l].list()
}

// turns are the stores that wait in one lane. Its zero value is ready to use.
type turns struct {
	order list.List                // of *line, the one whose turn it is first
	lines map[string]*list.Element // in order, by owner
}

// line is the stores of one owner; it is never empty.
type line struct {
	owner  string
	stores list.List // of *waitingStore
}

func (t *turns) push(s *waitingStore) {
	if t.lines == nil {
		t.lines = map[string]*list.Element{}
	}
	turn, ok := t.lines[s.owner]
	if !ok {
		turn = t.order.PushBack(&line{owner: s.owner})
		t.lines[s.owner] = turn
	}
	s.place = turn.Value.(*line).stores.PushBack(s)
}

func (t *turns) remove(s *waitingStore) {
	turn := t.lines[s.owner]
	stores := &turn.Value.(*line).stores
	stores.Remove(s.place)
	if stores.Len() == 0 {
		t.order.Remove(turn)
		delete(t.lines, s.owner)
	}
}

func (t *turns) pop() *waitingStore {
	turn := t.order.Front()
	t.order.MoveToBack(turn)
	s := turn.Value.(*line).stores.Front().Value.(*waitingStore)
	t.remove(s)
	return s
}

func (t *turns) list() []waitingStore {
	var heads []*list.Element
	for turn := t.order.Front(); turn != nil; turn = turn.Next() {
		heads = append(heads, turn.Value.(*line).stores.Front())
	}
	var all []waitingStore
	for len(heads) > 0 {
		left := heads[:0]
		for _, head := range heads {
			all = append(all, *head.Value.(*waitingStore))
			if next := head.Next(); next != nil {
				left = append(left, next)
			}
		}
		heads = left
	}
	return all
}
