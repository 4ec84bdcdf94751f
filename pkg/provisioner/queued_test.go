package provisioner

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// addStores puts stores into the cluster and the queue, each of an owner of its own.
func (w *world) addStores(t *testing.T, n int, edit func(*v1alpha1.Store)) {
	t.Helper()
	for i := range n {
		store := testStore()
		store.Name = fmt.Sprint("shop-", i)
		store.UID, store.Spec.Owner = types.UID(store.Name), store.Name
		if edit != nil {
			edit(store)
		}
		if err := w.api.Tracker().Add(store); err != nil {
			t.Fatal(err)
		}
		if err := w.storeIndex.Add(store); err != nil {
			t.Fatal(err)
		}
		w.queue.Add(keyOf(store))
	}
}

// told has a round of telling, and returns how many stores it told.
func (w *world) told(t *testing.T) int {
	t.Helper()
	w.api.ClearActions()
	w.tellWaiting(t.Context())
	written := len(w.api.Actions())
	list, err := w.api.PlatformV1alpha1().Stores(testKey.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if err := w.storeIndex.Update(&list.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	return written
}

func (w *world) storeNamed(t *testing.T, name string) *v1alpha1.Store {
	t.Helper()
	store, err := w.api.PlatformV1alpha1().Stores(testKey.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestQueuedStoreSaysSo(t *testing.T) {
	t.Parallel()
	ready := func(s *v1alpha1.Store) {
		s.Generation = 2
		s.Status.ObservedGeneration = 1
		s.Status.Release = &v1alpha1.StoreRelease{Ready: &v1alpha1.ReadyRevision{Generation: 1}}
		s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Selling"}}
	}
	deleted := func(s *v1alpha1.Store) {
		ready(s)
		s.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	}
	queued := func(lane string) string {
		return fmt.Sprintf("Queued: Waiting for a free worker of the provisioner; before it in the %s queue: 1.", lane)
	}
	for name, tc := range map[string]struct {
		edit func(*v1alpha1.Store)
		want map[string]string // by condition
	}{
		"new": {nil, map[string]string{"Ready": "False " + queued("create"), "Reconciling": "True " + queued("create")}},
		"changed, and ready as it was": {ready, map[string]string{
			"Ready": "True Selling: ", "Reconciling": "True " + queued("change"),
		}},
		"deleted": {deleted, map[string]string{
			"Ready": "True Selling: ", "Reconciling": "True " + queued("delete"),
		}},
		"being deleted": {func(s *v1alpha1.Store) {
			deleted(s)
			s.Status.Conditions[0] = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Deleting", Message: "Waiting."}
		}, map[string]string{"Ready": "False Deleting: Waiting."}},
		"left to others": {func(s *v1alpha1.Store) { deleted(s); s.Finalizers = []string{"other"} }, map[string]string{"Ready": "True Selling: "}},
		"in the middle of its creation": {func(s *v1alpha1.Store) {
			s.Status.ObservedGeneration = 1
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "PodStarting"}}
		}, map[string]string{"Ready": "False PodStarting: "}},
		"to be repaired": {func(s *v1alpha1.Store) { ready(s); s.Generation = 1 }, map[string]string{"Ready": "True Selling: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testStore())
			w.addStores(t, 2, tc.edit)
			w.clock = w.clock.Add(4 * time.Second)
			if got := w.told(t); got != 0 {
				t.Errorf("%d stores were told that they wait after 4s", got)
			}
			w.clock = w.clock.Add(time.Second)
			w.told(t)
			got := map[string]string{}
			for _, c := range w.storeNamed(t, "shop-1").Status.Conditions {
				got[c.Type] = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the conditions (-want +got):\n%s", diff)
			}
		})
	}
}

// However long the queue is and moves on, a store is told seldom.
func TestQueuedStoresAreToldSeldom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testStore())
	w.addStores(t, 50, nil)
	w.clock = w.clock.Add(time.Minute)
	for round, want := range []int{20, 20, 10, 0} {
		if got := w.told(t); got != want {
			t.Errorf("round %d told %d stores, want %d", round, got, want)
		}
	}
	rounds := 0
	for w.queue.Len() > 1 {
		key, _ := w.queue.Get()
		w.queue.Done(key)
		w.told(t)
		for _, action := range w.api.Actions() {
			if update, ok := action.(clientgotesting.UpdateAction); ok && update.GetObject().(*v1alpha1.Store).Name == "shop-49" {
				rounds++
			}
		}
	}
	last := w.storeNamed(t, "shop-49")
	wantCondition(t, last, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonQueued)
	if got, want := readyMessage(last), "Waiting for a free worker of the provisioner; before it in the create queue: 0."; got != want {
		t.Errorf("the next store says %q, want %q", got, want)
	}
	if rounds > 6 { // 49 others, halved until there is none.
		t.Errorf("the last store was told %d times after the first", rounds)
	}
}
