package integration

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// A name that exists is nobody else's to create: the first store stays as it is.
func TestNeverAgain02NamesAreNotTakenOver(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	mallory := as(t, newUser(t, namespace), namespace)
	created := create(t, namespace, newStore("flowers", engine))
	before := dump(t, namespace)
	stolen := newStore("flowers", engine)
	stolen.Spec.Owner, stolen.Spec.DisplayName = "mallory", "Mine now"
	for _, options := range []metav1.CreateOptions{{}, {DryRun: []string{metav1.DryRunAll}}} {
		if _, err := mallory.Create(t.Context(), stolen, options); !apierrors.IsAlreadyExists(err) {
			t.Errorf("creating a name that exists: %v, want AlreadyExists", err)
		}
	}
	after, err := mallory.Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, after); diff != "" {
		t.Errorf("the store changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before, dump(t, namespace)); diff != "" {
		t.Errorf("the database changed (-before +after):\n%s", diff)
	}
}

// Three replicas answer as one does: what is written through any is read, changed and
// refused through every other at once.
func TestNeverAgain16ReplicasAnswerAsOne(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	user := newUser(t, namespace)
	newQuota(t, v1alpha1.StoreQuotaSpec{Subjects: subject(v1alpha1.QuotaSubjectUser, user), Hard: hard(6)})
	clients := replicas(t, 3, user, namespace)
	for round := range 12 {
		writer, reader := clients[round%3], clients[(round+1)%3]
		name := fmt.Sprintf("shop-%d", round)
		err := attempt(t.Context(), writer, newStore(name, engine))
		if round >= 6 {
			if !apierrors.IsForbidden(err) {
				t.Fatalf("round %d: %v, want Forbidden", round, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		store, err := reader.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatalf("right after the write: %v", err)
		}
		store.Spec.DisplayName = "Changed elsewhere"
		if _, err := clients[(round+2)%3].Update(t.Context(), store, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Update(t.Context(), store, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("updating what is out of date: %v, want Conflict", err)
		}
	}
	var lists [3]*v1alpha1.StoreList
	for i, stores := range clients {
		list, err := stores.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = list
	}
	for i := range lists[1:] {
		if diff := cmp.Diff(lists[0].Items, lists[i+1].Items); diff != "" {
			t.Errorf("replica %d lists something else (-first +other):\n%s", i+1, diff)
		}
	}
	if len(lists[0].Items) != 6 {
		t.Errorf("%d stores, want 6", len(lists[0].Items))
	}
}

// The pages of a list are one snapshot, whatever is written between them.
func TestNeverAgain36PagesAreOneSnapshot(t *testing.T) {
	t.Parallel()
	const stores, page = 23, 5
	namespace, engine := env.NewNamespace(t), newEngine(t)
	client := harness.Platform(t, env.Admin()).Stores(namespace)
	var want []string
	for i := range stores {
		name := fmt.Sprintf("shop-%02d", i)
		create(t, namespace, newStore(name, engine))
		want = append(want, name+" "+name)
	}
	var got []string
	options := metav1.ListOptions{Limit: page}
	version := ""
	for n := 0; ; n++ {
		list, err := client.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if version == "" {
			version = list.ResourceVersion
		}
		if list.ResourceVersion != version || len(list.Items) > page {
			t.Errorf("page %d has %d stores at revision %s, the first is at %s", n, len(list.Items), list.ResourceVersion, version)
		}
		for _, store := range list.Items {
			got = append(got, store.Name+" "+store.Spec.DisplayName)
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
		// One comes, one changes and one goes among those not yet listed.
		create(t, namespace, newStore(fmt.Sprintf("shop-%02d-new", 20-n), engine))
		changed, err := client.Get(t.Context(), "shop-22", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		changed.Spec.DisplayName = fmt.Sprint("Changed ", n)
		if _, err := client.Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		purge(t, namespace, fmt.Sprintf("shop-%02d", 21-n))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the pages hold (-want +got):\n%s", diff)
	}
}

// dump returns every revision that the database holds of a namespace's objects.
func dump(t *testing.T, namespace string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(),
		`select concat_ws(' ', log.rev, log.key, log.kind, head.mod) from log left join head using (key) where key like '%/' || $1 || '/%' order by log.rev`, namespace)
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return revisions
}
