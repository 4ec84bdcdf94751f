package provisioner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// testQueue is a queue of stores that are named lane/owner-number.
type testQueue struct {
	*fairQueue
	lanes map[cache.ObjectName]lane
	clock time.Time
}

func newTestQueue() *testQueue {
	q := &testQueue{lanes: map[cache.ObjectName]lane{}, clock: time.Unix(0, 0)}
	q.fairQueue = newFairQueue(func(key cache.ObjectName) (lane, string) {
		owner, _, _ := strings.Cut(key.Name, "-")
		return q.lanes[key], owner
	}, func() time.Time { return q.clock })
	return q
}

// push has the store wait in the lane, as Add does.
func (q *testQueue) push(l lane, names ...string) {
	for _, name := range names {
		key := cache.ObjectName{Name: name}
		_, waits := q.waiting[key]
		if q.lanes[key] = l; waits {
			q.Touch(key)
		} else {
			q.Push(key)
		}
	}
}

func (q *testQueue) pop(n int) []string {
	names := []string{}
	for range n {
		names = append(names, q.Pop().Name)
	}
	return names
}

func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fill func(q *testQueue)
		want []string
	}{
		"first in, first out": {
			func(q *testQueue) { q.push(laneCreate, "a-1", "a-2", "a-3") },
			[]string{"a-1", "a-2", "a-3"},
		},
		"owners take turns": {
			func(q *testQueue) { q.push(laneCreate, "a-1", "a-2", "a-3", "a-4", "b-1", "c-1", "c-2") },
			[]string{"a-1", "b-1", "c-1", "a-2", "c-2", "a-3", "a-4"},
		},
		"who has had a turn comes after those who wait": {
			func(q *testQueue) {
				q.push(laneCreate, "a-1", "a-2", "b-1")
				q.pop(1)
				q.push(laneCreate, "a-3", "c-1")
			},
			[]string{"b-1", "a-2", "c-1", "a-3"},
		},
		"an owner who comes back begins at the end": {
			func(q *testQueue) {
				q.push(laneCreate, "a-1", "b-1", "b-2")
				q.pop(1)
				q.push(laneCreate, "a-2")
			},
			[]string{"b-1", "a-2", "b-2"},
		},
		"lanes take turns, also of one owner": {
			func(q *testQueue) {
				q.push(laneCreate, "a-1", "a-2", "a-3")
				q.push(laneDelete, "a-4", "a-5")
				q.push(laneRepair, "a-6")
				q.push(laneChange, "a-7")
			},
			[]string{"a-1", "a-7", "a-6", "a-4", "a-2", "a-5", "a-3"},
		},
		"creations come in between deletions": {
			func(q *testQueue) {
				q.push(laneDelete, "a-1", "a-2", "a-3")
				q.pop(1)
				q.push(laneCreate, "b-1")
			},
			[]string{"b-1", "a-2", "a-3"},
		},
		"woken again is no other place": {
			func(q *testQueue) { q.push(laneCreate, "a-1", "a-2", "a-3", "a-2", "a-1") },
			[]string{"a-1", "a-2", "a-3"},
		},
		"deleted while it waits to be created": {
			func(q *testQueue) {
				q.push(laneCreate, "a-1", "a-2", "a-3", "a-4")
				q.push(laneDelete, "a-3")
			},
			[]string{"a-1", "a-3", "a-2", "a-4"},
		},
		"the only one of its owner moves": {
			func(q *testQueue) {
				q.push(laneCreate, "a-1", "b-1", "a-2")
				q.push(laneChange, "b-1")
			},
			[]string{"a-1", "b-1", "a-2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newTestQueue()
			tc.fill(q)
			if got := q.Len(); got != len(tc.want) {
				t.Fatalf("%d stores wait, want %d", got, len(tc.want))
			}
			if diff := cmp.Diff(tc.want, q.pop(len(tc.want))); diff != "" {
				t.Errorf("the order (-want +got):\n%s", diff)
			}
			if got := q.Len(); got != 0 {
				t.Errorf("%d stores are left", got)
			}
		})
	}
}

// What a lane is said to hold is the order in which it is taken.
func TestLaneListsWhatIsTaken(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	for i := range 5 {
		q.push(laneCreate, fmt.Sprint("a-", i))
		q.clock = q.clock.Add(time.Second)
	}
	q.pop(1)
	q.push(laneCreate, "b-0", "c-0", "b-1")
	q.push(laneChange, "a-2")
	q.push(laneCreate, "a-2") // It has waited since it was first added.
	listed, since := []string{}, map[string]int64{}
	for _, s := range q.inLane(laneCreate) {
		listed = append(listed, s.key.Name)
		since[s.key.Name] = s.since.Unix()
	}
	if diff := cmp.Diff(q.pop(q.Len()), listed); diff != "" {
		t.Errorf("the lane is taken in another order than it lists (-taken +listed):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"a-1": 1, "a-2": 2, "a-3": 3, "a-4": 4, "b-0": 5, "c-0": 5, "b-1": 5}, since); diff != "" {
		t.Errorf("the stores wait since (-want +got):\n%s", diff)
	}
}

func TestLaneOfAStore(t *testing.T) {
	t.Parallel()
	ready := &v1alpha1.StoreRelease{Ready: &v1alpha1.ReadyRevision{Generation: 3}}
	for name, tc := range map[string]struct {
		store v1alpha1.Store
		want  lane
	}{
		"new":              {v1alpha1.Store{}, laneCreate},
		"installed":        {v1alpha1.Store{Status: v1alpha1.StoreStatus{Release: &v1alpha1.StoreRelease{}}}, laneStart},
		"as asked for":     {v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Status: v1alpha1.StoreStatus{Release: ready}}, laneRepair},
		"another spec":     {v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Generation: 4}, Status: v1alpha1.StoreStatus{Release: ready}}, laneChange},
		"given up":         {v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Generation: 4}, Status: v1alpha1.StoreStatus{Release: &v1alpha1.StoreRelease{Ready: ready.Ready, Failed: &v1alpha1.FailedUpgrade{}}}}, laneRepair},
		"deleted":          {v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Generation: 4, DeletionTimestamp: &metav1.Time{}}, Status: v1alpha1.StoreStatus{Release: ready}}, laneDelete},
		"deleted when new": {v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}}, laneDelete},
	} {
		if got := laneFor(&tc.store); got != tc.want {
			t.Errorf("%s: lane %s, want %s", name, got, tc.want)
		}
	}
}

// The queue is moved on by what the cache holds when a store is woken again.
func TestDeletedStoreLeavesTheCreateLane(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.queue.Add(testKey)
	w.change(t, func(s *v1alpha1.Store) { s.DeletionTimestamp = &metav1.Time{Time: w.clock} })
	w.refresh(t)
	w.queue.Add(testKey)
	if created, deleted := len(w.waiting.inLane(laneCreate)), len(w.waiting.inLane(laneDelete)); created != 0 || deleted != 1 {
		t.Errorf("%d stores wait to be created and %d to be deleted, want only one to be deleted", created, deleted)
	}
}
