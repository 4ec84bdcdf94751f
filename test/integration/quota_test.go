package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// newUser returns the name of a user of the test's own, who may edit a namespace.
func newUser(t *testing.T, namespace string) string {
	t.Helper()
	user := "user-" + rand.String(8)
	env.Allow(t, user, namespace, "platform-stores-edit")
	env.Allow(t, user, namespace, "platform-stores-view")
	return user
}

// as returns a user's stores on the server that the cluster forwards to.
func as(t *testing.T, user, namespace string, groups ...string) typed.StoreInterface {
	t.Helper()
	stores := harness.Platform(t, env.User(user, groups...)).Stores(namespace)
	harness.Eventually(t, patience, user+"'s rights", untilAllowed(func() error {
		_, err := stores.List(t.Context(), metav1.ListOptions{})
		return err
	}))
	return stores
}

func newQuota(t *testing.T, spec v1alpha1.StoreQuotaSpec) *v1alpha1.StoreQuota {
	t.Helper()
	quotas := harness.Platform(t, env.Admin()).StoreQuotas()
	quota, err := quotas.Create(t.Context(), &v1alpha1.StoreQuota{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := quotas.Delete(context.Background(), quota.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return quota
}

func subject(kind v1alpha1.QuotaSubjectKind, name string) []v1alpha1.QuotaSubject {
	return []v1alpha1.QuotaSubject{{Kind: kind, Name: name}}
}

func hard(n int32) v1alpha1.StoreQuotaHard { return v1alpha1.StoreQuotaHard{Stores: &n} }

func attempt(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
	_, err := stores.Create(ctx, store, metav1.CreateOptions{})
	return err
}

// purge deletes a store as the provisioner does, down to the last trace.
func purge(t *testing.T, namespace, name string) {
	t.Helper()
	stores := harness.Platform(t, env.Admin()).Stores(namespace)
	if err := stores.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// replicas returns a user's stores on several servers over one database.
func replicas(t *testing.T, n int, user, namespace string) []typed.StoreInterface {
	t.Helper()
	clients := []typed.StoreInterface{as(t, user, namespace)}
	for len(clients) < n {
		server := env.StartServer(t, env.Database())
		stores := harness.Platform(t, server.As(env.User(user))).Stores(namespace)
		harness.Eventually(t, patience, user+"'s rights", untilAllowed(func() error {
			_, err := stores.List(t.Context(), metav1.ListOptions{})
			return err
		}))
		clients = append(clients, stores)
	}
	return clients
}

// race sends n creates at once, spread over the clients, and returns the refusals.
func race(t *testing.T, clients []typed.StoreInterface, n int, store func(i int) *v1alpha1.Store) (won int64, refused []error) {
	t.Helper()
	var (
		wins atomic.Int64
		mu   sync.Mutex
		all  sync.WaitGroup
	)
	for i := range n {
		all.Go(func() {
			err := attempt(t.Context(), clients[i%len(clients)], store(i))
			if err == nil {
				wins.Add(1)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, err)
		})
	}
	all.Wait()
	return wins.Load(), refused
}

// An owner's quota is exact however many creates arrive at once and wherever.
func TestNeverAgain12QuotaIsExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	const creates, limit = 1000, 23
	namespace, engine := env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	quota := newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectUser, user), Hard: hard(limit)})
	won, refused := race(t, replicas(t, 2, user, namespace), creates, func(i int) *v1alpha1.Store {
		return newStore(fmt.Sprintf("shop-%d", i), engine)
	})
	if won != limit {
		t.Errorf("%d of %d creates succeeded, want %d", won, creates, limit)
	}
	for _, err := range refused {
		if !apierrors.IsForbidden(err) {
			t.Fatalf("refused with %v, want Forbidden", err)
		}
		contains(t, err.Error(), "exceeded quota: requested 1, used 23, hard 23", user, "StoreQuota/"+quota.Name, "delete a store")
	}
	list, err := harness.Platform(t, env.Admin()).Stores(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != limit {
		t.Errorf("%d stores exist, want %d; error %v", len(list.Items), limit, err)
	}
}

// A store counts until it is gone: failed, and while it is being deleted.
func TestNeverAgain13WhatHoldsResourcesCounts(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectUser, user), Hard: hard(1)})
	stores := as(t, user, namespace)
	store, err := stores.Create(t.Context(), newStore("first", engine), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	full := func(state string) {
		t.Helper()
		if err := attempt(t.Context(), stores, newStore("second", engine)); !apierrors.IsForbidden(err) {
			t.Errorf("with a store that is %s: %v, want Forbidden", state, err)
		}
	}
	full("new")
	setReady(t, store, metav1.ConditionFalse)
	full("failed")
	if err := stores.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	full("being deleted")
	if _, err := harness.Platform(t, env.Admin()).Stores(namespace).Patch(t.Context(), "first", types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := attempt(t.Context(), stores, newStore("second", engine)); err != nil {
		t.Errorf("with the store gone: %v", err)
	}
}

// A name, its host and its place are free again as soon as the store is gone.
func TestNeverAgain14NamesAreFreeAgain(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectNamespace, namespace), Hard: hard(1)})
	for range 100 {
		create(t, namespace, newStore("flowers", engine))
		purge(t, namespace, "flowers")
	}
}

// A rate counts over all replicas, and its refusal is one that nobody waits for in
// silence.
func TestNeverAgain15RateCountsOverReplicas(t *testing.T) {
	t.Parallel()
	const limit = 5
	namespace, engine := env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectUser, user), CreateRate: &v1alpha1.CreateRate{Count: limit, WindowSeconds: 3600}})
	clients := replicas(t, 3, user, namespace)
	won, refused := race(t, clients, 30, func(i int) *v1alpha1.Store { return newStore(fmt.Sprintf("shop-%d", i), engine) })
	if won != limit {
		t.Errorf("%d creates succeeded, want %d", won, limit)
	}
	for _, err := range refused {
		if seconds, wait := apierrors.SuggestsClientDelay(err); !apierrors.IsTooManyRequests(err) || wait && seconds > 0 {
			t.Fatalf("refused with %v, want TooManyRequests without a delay", err)
		}
		contains(t, err.Error(), "used 5, hard 5 per 1h0m0s", user, "try again in 1h0m")
	}
	list, err := clients[1].List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	purge(t, namespace, list.Items[0].Name)
	for i, stores := range clients {
		if err := attempt(t.Context(), stores, newStore("more", engine)); !apierrors.IsTooManyRequests(err) {
			t.Errorf("replica %d after a deletion: %v, want TooManyRequests", i, err)
		}
	}
}

// One host is one store's, whichever namespace and replica it is asked for in.
func TestHostsAreUnique(t *testing.T) {
	t.Parallel()
	const creates = 50
	here, there, engine := env.NewNamespace(t), env.NewNamespace(t), newEngine(t)
	server := env.StartServer(t, env.Database())
	clients := []typed.StoreInterface{
		harness.Platform(t, env.Admin()).Stores(here),
		harness.Platform(t, server.As(env.Admin())).Stores(there),
	}
	host := "shop." + engine.Name + ".example.com"
	store := func(i int) *v1alpha1.Store {
		store := newStore(fmt.Sprintf("shop-%d", i), engine)
		store.Spec.Host = host
		return store
	}
	won, refused := race(t, clients, creates, store)
	if won != 1 {
		t.Errorf("%d stores have host %s, want 1", won, host)
	}
	for _, err := range refused {
		if !apierrors.IsInvalid(err) {
			t.Fatalf("refused with %v, want Invalid", err)
		}
		contains(t, err.Error(), "spec.host", host, "another store has this host")
		if strings.Contains(err.Error(), here) || strings.Contains(err.Error(), there) {
			t.Errorf("the refusal shows where the other store is: %v", err)
		}
	}

	// An update moves to a free host, not to a taken one, and leaves the old one free.
	mover := create(t, here, newStore("mover", engine))
	old := mover.Spec.Host
	move := func(host string, dry ...string) error {
		_, err := clients[0].Patch(t.Context(), "mover", types.MergePatchType,
			fmt.Appendf(nil, `{"spec":{"host":%q}}`, host), metav1.PatchOptions{DryRun: dry})
		return err
	}
	for _, dry := range [][]string{{metav1.DryRunAll}, nil} {
		if err := move(host, dry...); !apierrors.IsInvalid(err) {
			t.Errorf("moving to a taken host (dry run %v): %v, want Invalid", dry, err)
		}
		if err := move("free-"+old, dry...); err != nil {
			t.Errorf("moving to a free host (dry run %v): %v", dry, err)
		}
	}
	taker := newStore("taker", engine)
	taker.Spec.Host = old
	if err := attempt(t.Context(), clients[1], taker); err != nil {
		t.Errorf("taking the host that was left: %v", err)
	}
}

// Of the quotas that match, the user's goes before the groups', the largest group's
// before the others, and a namespace's counts besides.
func TestQuotaSubjects(t *testing.T) {
	t.Parallel()
	namespace, other, engine := env.NewNamespace(t), env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	env.Allow(t, user, other, "platform-stores-edit")
	env.Allow(t, user, other, "platform-stores-view")
	group := "group-" + rand.String(8)
	review := func(namespace string) v1alpha1.SelfStoreQuotaReviewStatus {
		t.Helper()
		review, err := harness.Platform(t, env.User(user, group, group+"-2")).SelfStoreQuotaReviews().Create(t.Context(),
			&v1alpha1.SelfStoreQuotaReview{Spec: v1alpha1.SelfStoreQuotaReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return review.Status
	}
	limit := func(source string, scope v1alpha1.StoreLimitScope, hard *int32, used int32) v1alpha1.StoreLimit {
		return v1alpha1.StoreLimit{Source: source, Scope: scope, Hard: hard, Used: used}
	}
	check := func(namespace string, rate *v1alpha1.StoreCreateRate, limits ...v1alpha1.StoreLimit) {
		t.Helper()
		want := v1alpha1.SelfStoreQuotaReviewStatus{Limits: limits, CreateRate: rate}
		if diff := cmp.Diff(want, review(namespace), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("review (-want +got):\n%s", diff)
		}
	}
	owner, inNamespace := v1alpha1.StoreLimitScopeOwner, v1alpha1.StoreLimitScopeNamespace
	check("", nil, limit("default", owner, nil, 0))

	small := newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectGroup, group), Hard: hard(1), CreateRate: &v1alpha1.CreateRate{Count: 9, WindowSeconds: 60}})
	check("", &v1alpha1.StoreCreateRate{Count: 9, WindowSeconds: 60}, limit("StoreQuota/"+small.Name, owner, small.Spec.Hard.Stores, 0))
	large := newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectGroup, group+"-2"), Hard: hard(2)})
	rate := &v1alpha1.StoreCreateRate{Count: 9, WindowSeconds: 60}
	check(namespace, rate, limit("StoreQuota/"+large.Name, owner, large.Spec.Hard.Stores, 0))
	shared := newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectNamespace, namespace), Hard: hard(2)})

	create(t, namespace, newStore("admins", engine))
	stores := as(t, user, namespace, group, group+"-2")
	if err := attempt(t.Context(), stores, newStore("first", engine)); err != nil {
		t.Fatal(err)
	}
	err := attempt(t.Context(), stores, newStore("second", engine))
	if !apierrors.IsForbidden(err) {
		t.Fatalf("in a full namespace: %v, want Forbidden", err)
	}
	contains(t, err.Error(), "used 2, hard 2", `namespace "`+namespace+`"`, "StoreQuota/"+shared.Name)
	elsewhere := as(t, user, other, group, group+"-2")
	if err := attempt(t.Context(), elsewhere, newStore("third", engine)); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	if err := attempt(t.Context(), elsewhere, newStore("fourth", engine)); !apierrors.IsForbidden(err) {
		t.Errorf("the owner's third: %v, want Forbidden", err)
	}
	rate.Used = 2
	check(namespace, rate, limit("StoreQuota/"+large.Name, owner, large.Spec.Hard.Stores, 2), limit("StoreQuota/"+shared.Name, inNamespace, shared.Spec.Hard.Stores, 2))

	own := newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectUser, user), Hard: hard(0)})
	check("", rate, limit("StoreQuota/"+own.Name, owner, own.Spec.Hard.Stores, 2))
	if _, err := harness.Platform(t, env.User(user)).StoreQuotas().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a user lists quotas: %v, want Forbidden", err)
	}
}

// Without a StoreQuota the flags decide.
func TestQuotaDefaults(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	as(t, user, namespace) // has waited for the rights
	server := env.StartServer(t, env.Database(), "--default-stores-per-owner=2", "--default-create-rate=3", "--default-create-window=1h")
	stores := harness.Platform(t, server.As(env.User(user))).Stores(namespace)
	for _, name := range []string{"first", "second"} {
		if err := attempt(t.Context(), stores, newStore(name, engine)); err != nil {
			t.Fatal(err)
		}
	}
	err := attempt(t.Context(), stores, newStore("third", engine))
	if !apierrors.IsForbidden(err) {
		t.Fatalf("the third of two: %v, want Forbidden", err)
	}
	contains(t, err.Error(), "set by default")
	purge(t, namespace, "first")
	if err := attempt(t.Context(), stores, newStore("third", engine)); err != nil {
		t.Fatal(err)
	}
	purge(t, namespace, "second")
	if err := attempt(t.Context(), stores, newStore("fourth", engine)); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the fourth creation of three: %v, want TooManyRequests", err)
	}
	_, metrics := send(t, server.As(env.Admin()), "GET", "/metrics", nil)
	contains(t, metrics, `stores_quota_denied_total{reason="owner"} 1`, "stores_rate_limited_total 1")
}

// A dry run is refused as the real thing would be, and takes nothing.
func TestDryRunTakesNothing(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectUser, user), Hard: hard(1), CreateRate: &v1alpha1.CreateRate{Count: 1, WindowSeconds: 3600}})
	stores := as(t, user, namespace)
	dry := func(store *v1alpha1.Store) error {
		_, err := stores.Create(t.Context(), store, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	for range 3 {
		if err := dry(newStore("flowers", engine)); err != nil {
			t.Fatal(err)
		}
	}
	if books := books(t, engine, user); len(books) != 0 {
		t.Errorf("dry runs took %v", books)
	}
	if err := attempt(t.Context(), stores, newStore("flowers", engine)); err != nil {
		t.Fatal(err)
	}
	before := books(t, engine, user)
	if len(before) != 3 {
		t.Errorf("a store takes %v, want host, place and rate", before)
	}
	clash := newStore("roses", engine)
	clash.Spec.Host = newStore("flowers", engine).Spec.Host
	if err := dry(clash); !apierrors.IsInvalid(err) {
		t.Errorf("a taken host: %v, want Invalid", err)
	}
	if err := dry(newStore("roses", engine)); !apierrors.IsForbidden(err) {
		t.Errorf("a store too many: %v, want Forbidden", err)
	}
	purge(t, namespace, "flowers")
	if err := dry(newStore("roses", engine)); !apierrors.IsTooManyRequests(err) {
		t.Errorf("too fast: %v, want TooManyRequests", err)
	}
}

// books returns what the database has of an engine's hosts and a user's places and
// creations.
func books(t *testing.T, engine *v1alpha1.Engine, user string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `select name from claim where name like '%' || $1 || '%' or name like '%' || $2
		union all select name from claim_rate where name like '%' || $2`, engine.Name, user)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}
