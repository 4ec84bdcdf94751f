package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/test/internal/violations"
)

// Sizes of the load.
const (
	storesPerUser = 13
	// unsettledPerUser is how many stores a user leaves in motion: the provisioner is
	// to be killed at work, not to be buried.
	unsettledPerUser = 4
)

// counts are of what the users have asked for and were granted.
type counts struct {
	creates, updates, deletes atomic.Int64
	// tooEarly are creations that were refused because a store of the name, and its
	// namespace, was still going.
	tooEarly atomic.Int64
}

// user creates, changes and deletes stores of its own.
type user struct {
	engine string
	stores typed.StoreInterface
	names  []string
	rng    *rand.Rand
	found  *violations.Log
	counts *counts

	title int
	now   map[string]*life // by name
	lives []*life
}

// retryPause is between a request and its repetition.
const retryPause = 100 * time.Millisecond

// run asks for one thing after the other until there is enough. What was begun then
// is brought to an end, for only its answer tells whether it was done.
func (u *user) run(ctx, enough context.Context) {
	for enough.Err() == nil {
		pause := 50 + u.rng.IntN(150)
		if u.unsettled(ctx) < unsettledPerUser {
			u.act(ctx, u.names[u.rng.IntN(len(u.names))])
		}
		sleep(enough, time.Duration(pause)*time.Millisecond)
	}
}

// unsettled counts the stores in motion.
func (u *user) unsettled(ctx context.Context) int {
	list, err := u.stores.List(ctx, metav1.ListOptions{})
	if err != nil {
		return unsettledPerUser
	}
	count := 0
	for i := range list.Items {
		if !settled(&list.Items[i]) {
			count++
		}
	}
	return count
}

// settled is true if the store is what was asked for, or has returned to what it was
// before because that cannot be.
func settled(s *v1alpha1.Store) bool {
	ready := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady)
	return s.DeletionTimestamp == nil && ready != nil && ready.Status == metav1.ConditionTrue &&
		ready.ObservedGeneration == s.Generation && s.Status.ObservedGeneration == s.Generation
}

// act does something to one of the stores.
func (u *user) act(ctx context.Context, name string) {
	l := u.now[name]
	if l == nil || l.Deleted {
		u.create(ctx, name)
		return
	}
	store := u.look(ctx, l)
	// Most stores are left alone until they have settled.
	if store == nil || !settled(store) && u.rng.IntN(4) > 0 {
		return
	}
	if u.rng.IntN(4) == 0 {
		u.remove(ctx, l)
		return
	}
	u.update(ctx, l, store)
}

// look reads a store until there is an answer, and holds it against what is known of
// it. It returns nil when there is no store or ctx has ended.
func (u *user) look(ctx context.Context, l *life) *v1alpha1.Store {
	for ctx.Err() == nil {
		store, err := u.stores.Get(ctx, l.Name, metav1.GetOptions{})
		switch {
		case err == nil && store.UID != l.UID, apierrors.IsNotFound(err):
			if !l.Deleted {
				u.found.Add("store lost", "%s, which nobody has deleted", l)
			}
			l.Gone = true
			return nil
		case err == nil:
			l.check(store, u.found)
			return store
		}
		sleep(ctx, retryPause)
	}
	return nil
}

// check holds a store against what its user was told.
func (l *life) check(store *v1alpha1.Store, found *violations.Log) {
	if store.Spec.DisplayName != l.Spec.DisplayName || store.Spec.Version != l.Spec.Version || store.Spec.Plan != l.Spec.Plan {
		found.Add("write lost", "%s has %q, version %s, plan %s, want %q, %s, %s", l, store.Spec.DisplayName, store.Spec.Version, store.Spec.Plan,
			l.Spec.DisplayName, l.Spec.Version, l.Spec.Plan)
	}
	if l.Deleted != (store.DeletionTimestamp != nil) {
		found.Add("write lost", "%s: deleted is %v, want %v", l, store.DeletionTimestamp != nil, l.Deleted)
	}
}

// next is a specification unlike any other.
func (u *user) next(spec v1alpha1.StoreSpec) v1alpha1.StoreSpec {
	u.title++
	spec.DisplayName = fmt.Sprintf("Shop %d", u.title)
	spec.Version = []string{"1.0", "2.0"}[u.rng.IntN(2)]
	spec.Plan = []string{"small", "large"}[u.rng.IntN(2)]
	return spec
}

// create creates a store, unless one of the name is still going. Servers may still
// be at work on a request of which nothing has come back, also after a Get that did
// not find the store, so it is repeated until there is an answer that rules that out.
func (u *user) create(ctx context.Context, name string) {
	spec := u.next(v1alpha1.StoreSpec{Engine: u.engine})
	if u.rng.IntN(10) == 0 {
		spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	}
	for inDoubt := false; ctx.Err() == nil; sleep(ctx, retryPause) {
		store, err := u.stores.Create(ctx, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
		refused := apierrors.IsAlreadyExists(err)
		if refused {
			store, err = u.stores.Get(ctx, name, metav1.GetOptions{})
		} else if err != nil {
			inDoubt = true
		}
		switch {
		case err != nil:
		case store.Spec.DisplayName == spec.DisplayName:
			u.created(store)
			return
		default:
			last := u.now[name]
			if last == nil || last.UID != store.UID {
				u.found.Add("store nobody made", "%s/%s %s", store.Namespace, store.Name, store.UID)
				return
			}
			if !inDoubt {
				u.counts.tooEarly.Add(1)
				return
			}
		}
	}
}

func (u *user) created(store *v1alpha1.Store) {
	if last := u.now[store.Name]; last != nil {
		last.Gone = true
	}
	l := &life{
		Namespace: store.Namespace, Name: store.Name, UID: store.UID, Shop: provisioner.NamespaceName(store),
		Spec: store.Spec, Titles: []string{store.Spec.DisplayName},
	}
	u.now[store.Name], u.lives = l, append(u.lives, l)
	u.counts.creates.Add(1)
}

// update asks for something else, unless the store has changed meanwhile. It is
// repeated until it is done or conflicts with another change, after which no earlier
// request can be done any more.
func (u *user) update(ctx context.Context, l *life, store *v1alpha1.Store) {
	spec := u.next(l.Spec)
	// A shop that was never ready has nothing to return to.
	if everReady := store.Status.Release != nil && store.Status.Release.Ready != nil; everReady && u.rng.IntN(10) == 0 {
		spec.Version = "broken"
	}
	store.Spec = spec
	for ; ctx.Err() == nil; sleep(ctx, retryPause) {
		_, err := u.stores.Update(ctx, store, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			var now *v1alpha1.Store
			if now, err = u.stores.Get(ctx, l.Name, metav1.GetOptions{}); err == nil && now.Spec.DisplayName != spec.DisplayName {
				return
			}
		}
		if apierrors.IsNotFound(err) {
			u.look(ctx, l)
			return
		}
		if err == nil {
			l.Spec, l.Titles = spec, append(l.Titles, spec.DisplayName)
			u.counts.updates.Add(1)
			return
		}
	}
}

// remove deletes a store, and repeats that until it is done or there is none.
func (u *user) remove(ctx context.Context, l *life) {
	for ; ctx.Err() == nil; sleep(ctx, retryPause) {
		err := u.stores.Delete(ctx, l.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.UID}})
		if err == nil || apierrors.IsNotFound(err) {
			l.Deleted = true
			u.counts.deletes.Add(1)
			return
		}
	}
}

// sleep lets time pass, but not longer than ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
