package provisioning

import (
	"errors"
	"slices"
	"testing"
	"time"

	"platform.dev/stores/pkg/provisioner/shards"
)

// Three replicas provision at once and never two on one store, also when one is
// killed and one is stopped in the middle of its work for longer than its lease.
func TestReplicasShareStoresAndNeverOne(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	a, b := startReplica(t, "a", record), startReplica(t, "b", record)
	c := startReplica(t, "c", record)
	cleanUp(t, namespace)
	eventuallyHeld(t, a, b, c)

	names := createMany(t, namespace, "first", engine, 18)
	allReady(t, namespace, names)
	for _, replica := range []string{"a", "b", "c"} {
		if !slices.ContainsFunc(record.all(), func(r request) bool { return r.replica == replica && r.writes() }) {
			t.Errorf("replica %s has done nothing", replica)
		}
	}

	// One dies and one is stopped while they work: the third does all.
	before := len(record.all())
	names = createMany(t, namespace, "second", engine, 12)
	waitForWork(t, record, before, "a", "b")
	a.kill()
	b.pause()
	stopped := time.Now()
	names = append(names, createMany(t, namespace, "third", engine, 24)...)
	allReady(t, namespace, names)
	if held := c.shares.Held(); held != 16 {
		t.Errorf("the replica that is left holds %d shards, want all 16", held)
	}
	if took := time.Since(stopped); took < renewDeadline {
		t.Fatalf("all was ready after %s: nothing was left to take over", took)
	}
	b.resume()
	<-b.worked
	if err := <-b.ended; !errors.Is(err, shards.ErrLost) {
		t.Errorf("the replica that was stopped ended with %v, want ErrLost", err)
	}
	b.ended <- nil
	for _, r := range record.all() {
		if r.replica == "b" && r.writes() && r.began.After(stopped.Add(leaseDuration)) {
			t.Errorf("the replica that was stopped wrote to %s after its lease", r.namespace)
		}
	}
	assertNeverTwo(t, record)
}

// A replica that leaves hands its stores over at once.
func TestReplicaThatLeavesHandsOver(t *testing.T) {
	namespace, engine, record := env.NewNamespace(t), tinyEngine(t, 600), &record{}
	a, b := startReplica(t, "a", record), startReplica(t, "b", record)
	cleanUp(t, namespace)
	eventuallyHeld(t, a, b)
	names := createMany(t, namespace, "shop", engine, 12)
	waitForWork(t, record, 0, "a", "b")
	left := time.Now()
	a.leave(t)
	for b.shares.Held() < 16 && time.Since(left) < leaseDuration {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(left); took >= leaseDuration {
		t.Errorf("handing over took %s, as if the replica had died", took)
	}
	allReady(t, namespace, names)
	assertNeverTwo(t, record)
}

// eventuallyHeld waits until the replicas hold all shards in fair shares.
func eventuallyHeld(t *testing.T, replicas ...*replica) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		sum, fair := 0, true
		for _, r := range replicas {
			sum += r.shares.Held()
			fair = fair && r.shares.Held() >= 16/len(replicas)
		}
		if sum == 16 && fair {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replicas hold %d shards", sum)
		}
	}
}

// waitForWork waits until each of the replicas has written something after the first
// so many requests.
func waitForWork(t *testing.T, record *record, before int, replicas ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(replicas) > 0; time.Sleep(time.Millisecond) {
		for _, r := range record.all()[before:] {
			if i := slices.Index(replicas, r.replica); i >= 0 && r.writes() {
				replicas = slices.Delete(replicas, i, i+1)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("replicas %v do nothing", replicas)
		}
	}
}

// assertNeverTwo checks that no two replicas wrote for a store at the same time,
// and that none came back to a store that another had taken from it by force.
func assertNeverTwo(t *testing.T, record *record) {
	t.Helper()
	stores := map[string][]request{}
	for _, r := range record.all() {
		if r.writes() {
			stores[r.namespace] = append(stores[r.namespace], r)
		}
	}
	moved := 0
	for namespace, writes := range stores {
		slices.SortFunc(writes, func(a, b request) int { return a.began.Compare(b.began) })
		var last request
		for _, w := range writes {
			if last.replica != "" && w.replica != last.replica {
				moved++
				if w.began.Before(last.ended) {
					t.Errorf("%s and %s wrote to %s at the same time", last.replica, w.replica, namespace)
				}
			}
			last = w
		}
	}
	if moved == 0 {
		t.Error("no store has moved from one replica to another: nothing was shown")
	}
}
