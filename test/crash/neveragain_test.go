package crash

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/test/internal/violations"
)

// theater is a test's own stage: a namespace for stores, and all that is noted.
type theater struct {
	*testing.T
	stores typed.StoreInterface
	found  *violations.Log
	seen   *observer
	lives  []*life
	pauses []pause
}

// newTheater leaves nothing behind.
func newTheater(t *testing.T) *theater {
	t.Helper()
	namespace, err := shared.core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := &violations.Log{}
	th := &theater{
		T: t, stores: shared.stores.PlatformV1alpha1().Stores(namespace.Name),
		found: found, seen: observe(t.Context(), shared.core, found),
	}
	t.Cleanup(func() {
		if err := shared.clear(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("clearing up: %v", err)
		}
	})
	return th
}

// start starts a replica that ends with the test.
func (th *theater) start(slot string, o order) *replica {
	th.Helper()
	r, err := shared.barracks.start(slot, o)
	if err != nil {
		th.Fatal(err)
	}
	th.Cleanup(r.kill)
	return r
}

// keep has a replica in the slot until the keeper is told to end.
func (th *theater) keep(slot string) *keeper {
	th.Helper()
	k, err := shared.barracks.keep(slot)
	if err != nil {
		th.Fatal(err)
	}
	return k
}

// create creates a store, as soon as it may be.
func (th *theater) create(name string, edit ...func(*v1alpha1.StoreSpec)) *life {
	th.Helper()
	spec := v1alpha1.StoreSpec{Engine: shared.quick, DisplayName: "First"}
	for _, f := range edit {
		f(&spec)
	}
	var store *v1alpha1.Store
	th.eventually("the creation of "+name, func(ctx context.Context) (bool, error) {
		var err error
		store, err = th.stores.Create(ctx, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return false, nil
		}
		return err == nil, err
	})
	l := &life{Namespace: store.Namespace, Name: name, UID: store.UID, Shop: provisioner.NamespaceName(store), Spec: store.Spec, Titles: []string{spec.DisplayName}}
	th.lives = append(th.lives, l)
	return l
}

// change edits a store.
func (th *theater) change(l *life, edit func(*v1alpha1.StoreSpec)) {
	th.Helper()
	th.eventually("the change of "+l.Name, func(ctx context.Context) (bool, error) {
		store, err := th.stores.Get(ctx, l.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		edit(&store.Spec)
		if store, err = th.stores.Update(ctx, store, metav1.UpdateOptions{}); apierrors.IsConflict(err) {
			return false, nil
		}
		if err == nil {
			if store.Spec.DisplayName != l.Spec.DisplayName {
				l.Titles = append(l.Titles, store.Spec.DisplayName)
			}
			l.Spec = store.Spec
		}
		return err == nil, err
	})
}

// remove asks for a store to be deleted.
func (th *theater) remove(l *life) {
	th.Helper()
	if err := th.stores.Delete(th.Context(), l.Name, metav1.DeleteOptions{}); err != nil {
		th.Fatal(err)
	}
	l.Deleted = true
}

// settled waits until all stores are what was asked for last, and those that were
// deleted are gone.
func (th *theater) settled() {
	th.Helper()
	_, stuck, err := shared.settle(th.Context(), time.Now(), patienceOfTests, th.lives)
	if err != nil {
		th.Fatal(err)
	}
	if len(stuck) > 0 {
		th.Fatalf("not settled:\n%s", strings.Join(stuck, "\n"))
	}
}

func (th *theater) eventually(what string, done func(context.Context) (bool, error)) {
	th.Helper()
	if err := wait.PollUntilContextTimeout(th.Context(), 50*time.Millisecond, patienceOfTests, true, done); err != nil {
		th.Fatalf("waiting for %s: %v", what, err)
	}
}

// await waits for a replica to end or to stop.
func (th *theater) await(r *replica, what <-chan struct{}) {
	th.Helper()
	select {
	case <-what:
	case <-time.After(patienceOfTests):
		th.Fatalf("replica %s came to %q only", r.name, r.diedAt())
	}
}

// check holds all that was noted against what there is.
func (th *theater) check() *records {
	th.Helper()
	r := &records{found: th.found, lives: th.lives, pauses: th.pauses}
	if err := shared.collect(th.Context(), r); err != nil {
		th.Fatal(err)
	}
	if err := th.seen.catchUp(th.Context(), shared.core); err != nil {
		th.Fatal(err)
	}
	r.revisions = th.seen.all()
	r.check()
	for _, text := range th.found.Texts {
		th.Error(text)
	}
	return r
}

// A replica that is stopped in the middle of an install for longer than its lease
// finds itself fenced off: the one that took over has installed, once.
func TestNeverAgain17StoppedReplicaIsFencedOff(t *testing.T) {
	th := newTheater(t)
	a := th.start("a", order{At: []string{"before helm create configmaps"}, Stop: true, Lease: shortLease})
	l := th.create("flowers")
	th.await(a, a.stopped)
	defer th.keep("b").end()
	th.settled()
	th.pauses = append(th.pauses, pause{By: a.name, Continued: time.Now()})
	a.signal(syscall.SIGCONT)
	th.await(a, a.exited)
	if a.wasKilled() || a.process.ProcessState.Success() {
		t.Errorf("the replica that was stopped ended with %v, want an error", a.process.ProcessState)
	}
	wrote := map[string]int{}
	for _, w := range th.check().writes {
		if w.Namespace == l.Shop {
			wrote[w.By[:1]]++
		}
	}
	if wrote["a"] == 0 || wrote["b"] == 0 {
		t.Errorf("%v have written: nothing was shown", wrote)
	}
}

// Replicas that are restarted one after the other while fifty stores are installed
// finish what they have begun: no action fails, and none is cut off.
func TestNeverAgain18RollingRestartFailsNothing(t *testing.T) {
	th := newTheater(t)
	replicas := []*replica{th.start("a", order{}), th.start("b", order{})}
	for i := range 50 {
		th.create(fmt.Sprintf("shop-%d", i))
	}
	for i := range 6 {
		th.await(replicas[i%2], replicas[i%2].worked)
		replicas[i%2].terminate()
		if !replicas[i%2].process.ProcessState.Success() {
			t.Errorf("replica %s ended with %v", replicas[i%2].name, replicas[i%2].process.ProcessState)
		}
		replicas[i%2] = th.start(replicas[i%2].name[:1], order{})
	}
	th.settled()
	r := th.check()
	for i := range r.stores {
		actions := r.stores[i].Status.Release.Actions
		if len(actions) != 1 || actions[0].Action != "install" || actions[0].Result != "succeeded" {
			t.Errorf("store %s was brought about by %+v, want one install", r.stores[i].Name, actions)
		}
	}
}

// A store that is deleted while any step is under way goes, and one that is made
// under its name while its namespace terminates becomes a shop of its own.
func TestNeverAgain19DeletedDuringEveryStep(t *testing.T) {
	th := newTheater(t)
	for i, point := range []string{
		"before controller create namespaces", "before controller patch resourcequotas", "before controller create secrets",
		"before helm create secrets", "before helm create deployments", "before helm update secrets", "after helm update secrets",
	} {
		t.Log(point)
		name := fmt.Sprintf("flowers-%d", i)
		a := th.start("a", order{At: []string{point}, Stop: true})
		first := th.create(name)
		th.await(a, a.stopped)
		th.remove(first)
		a.signal(syscall.SIGCONT)
		second := th.create(name, func(s *v1alpha1.StoreSpec) { s.DisplayName = "Second" })
		if second.Shop == first.Shop {
			t.Errorf("the second store got the namespace of the first, %s", first.Shop)
		}
		th.settled()
		a.terminate() // or the next replica waits for its lease
	}
	th.check()
}

// A namespace that does not carry the store's UID is not the store's, whatever its
// name: it is neither filled nor deleted.
func TestNeverAgain20OnlyTheStoresOwnIsRemoved(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"without a label":            nil,
		"with another store's label": {provisioner.LabelStoreUID: "0aa1b8a5-1a8c-4f6b-8f2c-000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			th := newTheater(t)
			l := th.create("flowers", func(s *v1alpha1.StoreSpec) { s.Suspend = true })
			namespaces, settings := shared.core.CoreV1().Namespaces(), shared.core.CoreV1().ConfigMaps(l.Shop)
			if _, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.Shop, Labels: labels}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := settings.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			a := th.start("a", order{})
			th.change(l, func(s *v1alpha1.StoreSpec) { s.Suspend = false })
			th.eventually("the conflict", func(ctx context.Context) (bool, error) {
				store, err := th.stores.Get(ctx, l.Name, metav1.GetOptions{})
				return err == nil && strings.Contains(describeStore(store), "NamespaceConflict"), err
			})
			th.remove(l)
			th.settled()
			before, err := namespaces.Get(t.Context(), l.Shop, metav1.GetOptions{})
			if err != nil || before.DeletionTimestamp != nil {
				t.Errorf("the namespace: %+v, error %v", before.ObjectMeta, err)
			}
			if _, err := settings.Get(t.Context(), "settings", metav1.GetOptions{}); err != nil {
				t.Errorf("what was in the namespace: %v", err)
			}
			writes, err := readAudit(shared.env.AuditLog())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range writes {
				if w.Namespace == l.Shop {
					t.Errorf("the provisioner wrote there: %v", w)
				}
			}
			a.terminate()
			if err := namespaces.Delete(t.Context(), l.Shop, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			th.eventually("the namespace to go", func(ctx context.Context) (bool, error) {
				_, err := namespaces.Get(ctx, l.Shop, metav1.GetOptions{})
				return apierrors.IsNotFound(err), nil
			})
		})
	}
}

// A release that a killed process has left pending is brought to its end by the next.
func TestNeverAgain29HelmKilledInTheMiddle(t *testing.T) {
	for _, test := range []struct {
		status string
		at     order
		// change is what the killed process works on; nil is the creation.
		change func(*v1alpha1.StoreSpec)
	}{
		{"pending-install", order{At: []string{"before helm create deployments"}}, nil},
		{"pending-upgrade", order{At: []string{"before helm patch configmaps"}}, func(s *v1alpha1.StoreSpec) { s.DisplayName = "Second" }},
		// Three upgrades fail before the shop is returned to what it was.
		{"pending-rollback", order{At: []string{"after helm create secrets"}, Skip: 3}, func(s *v1alpha1.StoreSpec) { s.Version = "broken" }},
	} {
		t.Run(test.status, func(t *testing.T) {
			th := newTheater(t)
			l := th.create("flowers")
			if test.change != nil {
				before := th.keep("before")
				th.settled()
				before.end()
				th.change(l, test.change)
			}
			a := th.start("a", test.at)
			th.await(a, a.exited)
			releases, err := shared.core.CoreV1().Secrets(l.Shop).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,status=" + test.status})
			if err != nil {
				t.Fatal(err)
			}
			if len(releases.Items) != 1 || !a.wasKilled() {
				t.Fatalf("the process ended with %v at %q and left %d revisions %s, want 1", a.process.ProcessState, a.diedAt(), len(releases.Items), test.status)
			}
			defer th.keep("b").end()
			th.settled()
			th.check()
		})
	}
}
