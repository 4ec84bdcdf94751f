package crash

import (
	"context"
	"errors"
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

// errNotKnown is about a request of which nothing has come back.
var errNotKnown = errors.New("the outcome is not known")

// run asks for one thing after the other until ctx ends.
func (u *user) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := 50 + u.rng.IntN(150)
		if u.unsettled(ctx) < unsettledPerUser {
			u.act(ctx, u.names[u.rng.IntN(len(u.names))])
		}
		sleep(ctx, time.Duration(pause)*time.Millisecond)
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
		sleep(ctx, 100*time.Millisecond)
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

// create tries once to create a store: one of the name may still be going.
func (u *user) create(ctx context.Context, name string) {
	spec := u.next(v1alpha1.StoreSpec{Engine: u.engine})
	if u.rng.IntN(10) == 0 {
		spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	}
	store, err := u.stores.Create(ctx, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	for err != nil && ctx.Err() == nil {
		// Either nothing has come of it, or another store of the name is there, or it is
		// this one.
		if store, err = u.stores.Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return
		}
		if err == nil && store.Spec.DisplayName != spec.DisplayName {
			u.counts.tooEarly.Add(1)
			if l := u.now[name]; l == nil || l.UID != store.UID {
				u.found.Add("store nobody made", "%s/%s %s", store.Namespace, store.Name, store.UID)
			}
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
	if err != nil {
		return
	}
	if last := u.now[name]; last != nil {
		last.Gone = true
	}
	l := &life{Namespace: store.Namespace, Name: name, UID: store.UID, Shop: provisioner.NamespaceName(store), Spec: store.Spec, Titles: []string{spec.DisplayName}}
	u.now[name], u.lives = l, append(u.lives, l)
	u.counts.creates.Add(1)
}

// update asks for something else, until it is known whether that was granted.
func (u *user) update(ctx context.Context, l *life, store *v1alpha1.Store) {
	spec := u.next(l.Spec)
	// A shop that was never ready has nothing to return to.
	if everReady := store.Status.Release != nil && store.Status.Release.Ready != nil; everReady && u.rng.IntN(10) == 0 {
		spec.Version = "broken"
	}
	store.Spec = spec
	_, err := u.stores.Update(ctx, store, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return
	}
	if err != nil {
		if err = u.outcome(ctx, l, func(s *v1alpha1.Store) bool { return s.Spec.DisplayName == spec.DisplayName }); err != nil {
			return
		}
	}
	l.Spec, l.Titles = spec, append(l.Titles, spec.DisplayName)
	u.counts.updates.Add(1)
}

func (u *user) remove(ctx context.Context, l *life) {
	err := u.stores.Delete(ctx, l.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.UID}})
	if err != nil {
		err = u.outcome(ctx, l, func(s *v1alpha1.Store) bool { return s.UID != l.UID || s.DeletionTimestamp != nil })
	}
	if err != nil {
		return
	}
	l.Deleted = true
	u.counts.deletes.Add(1)
}

// outcome finds out whether something was done that was not acknowledged. It may
// still be done after it was seen not to be, so it is asked for twice.
func (u *user) outcome(ctx context.Context, l *life, done func(*v1alpha1.Store) bool) error {
	for seen := 0; ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		store, err := u.stores.Get(ctx, l.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			store = &v1alpha1.Store{} // as of another UID
		case err != nil:
			continue
		}
		if done(store) {
			return nil
		}
		if seen++; seen == 3 {
			return errNotKnown
		}
	}
	return errNotKnown
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
