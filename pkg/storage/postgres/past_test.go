package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/history"
)

// label changes a pod in the name of a user and returns its new revision.
func (u *fixtureUser) label(t *testing.T, name, value string) int64 {
	t.Helper()
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: u.name})
	out := &example.Pod{}
	err := u.GuaranteedUpdate(ctx, podKey(name), out, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		pod := obj.(*example.Pod)
		pod.Labels = map[string]string{"value": value}
		return pod, nil
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return revisionOf(t, out)
}

func pastOf(f *fixture) history.Reader { return past{f.Storage} }

// summary tells a revision in a line, with the label that the object had.
func summary(r history.Revision) string {
	pod, ok := r.Object.(*example.Pod)
	if !ok {
		return fmt.Sprintf("%d %s %s", r.ResourceVersion, r.User, r.Verb)
	}
	return fmt.Sprintf("%d %s %s %q at %s", r.ResourceVersion, r.User, r.Verb, pod.Labels["value"], pod.ResourceVersion)
}

func summaries(revisions []history.Revision) []string {
	var all []string
	for _, r := range revisions {
		all = append(all, summary(r))
	}
	return all
}

func TestPast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice, bob := &fixtureUser{f, "alice"}, &fixtureUser{f, "bob"}
	alice.create(t, "shop")
	earlier := alice.label(t, "shop", "of an earlier one")
	alice.delete(t, "shop")
	created := revisionOf(t, alice.create(t, "shop"))
	alice.create(t, "shop-2")
	first := bob.label(t, "shop", "1")
	alice.label(t, "shop-2", "not ours")
	second := alice.label(t, "shop", "2")
	reader, key := pastOf(f), podKey("shop")

	t.Run("list", func(t *testing.T) {
		got, err := reader.List(t.Context(), key, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			fmt.Sprintf(`%d alice update "2" at %[1]d`, second),
			fmt.Sprintf(`%d bob update "1" at %[1]d`, first),
			fmt.Sprintf(`%d alice create "" at %[1]d`, created),
		}
		if diff := cmp.Diff(want, summaries(got)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		page, err := reader.List(t.Context(), key, first, 1)
		if err != nil || len(page) != 1 || page[0].ResourceVersion != first {
			t.Errorf("one from %d on: %v, error %v", first, summaries(page), err)
		}
		if at, err := reader.At(t.Context(), key, got[1].Time); err != nil || at.ResourceVersion != first {
			t.Errorf("at the time of the first change: %+v, error %v", at, err)
		}
		if at, err := reader.At(t.Context(), key, got[0].Time.Add(-time.Microsecond)); err != nil || at.ResourceVersion != first {
			t.Errorf("just before the second change: %+v, error %v", at, err)
		}
		if at, err := reader.At(t.Context(), key, got[2].Time.Add(-time.Microsecond)); !errors.Is(err, history.ErrNotFound) {
			t.Errorf("before the creation: %+v, error %v, want ErrNotFound", at, err)
		}
	})
	t.Run("get", func(t *testing.T) {
		r, err := reader.Get(t.Context(), key, first)
		if err != nil || summary(*r) != fmt.Sprintf(`%d bob update "1" at %[1]d`, first) {
			t.Errorf("got %+v, error %v", r, err)
		}
	})
	for name, get := range map[string]func(context.Context) error{
		"revision of the earlier object": func(ctx context.Context) error { _, err := reader.Get(ctx, key, earlier); return err },
		"revision of another object":     func(ctx context.Context) error { _, err := reader.Get(ctx, key, first+1); return err },
		"revision to come":               func(ctx context.Context) error { _, err := reader.Get(ctx, key, second+100); return err },
		"object that is not":             func(ctx context.Context) error { _, err := reader.List(ctx, podKey("none"), 0, 1); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := get(t.Context()); !errors.Is(err, history.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
	}
	if _, err := reader.List(t.Context(), key, earlier, 1); !errors.Is(err, history.ErrExpired) {
		t.Errorf("going on in the history of the earlier object: %v, want ErrExpired", err)
	}
}

// answer is what had a name at a moment.
type answer struct {
	revision         int64
	deleted, created int64 // if there was nothing
}

// wantAtMoment asks what "shop" was at a revision, and at its time.
func wantAtMoment(t *testing.T, reader history.Reader, rev int64, times map[int64]time.Time, want answer) {
	t.Helper()
	key := podKey("shop")
	for by, ask := range map[string]func() (*history.Revision, error){
		"revision": func() (*history.Revision, error) { return reader.AtRevision(t.Context(), key, rev) },
		"time":     func() (*history.Revision, error) { return reader.At(t.Context(), key, times[rev]) },
	} {
		got, err := ask()
		var absent *history.AbsentError
		switch {
		case want.revision != 0:
			if err != nil || got.ResourceVersion != want.revision || got.Object.(*example.Pod).Name != "shop" {
				t.Errorf("by %s %d: %+v, error %v, want %d", by, rev, got, err, want.revision)
			}
		case !errors.As(err, &absent) || !errors.Is(err, history.ErrNotFound):
			t.Errorf("by %s %d: %+v, error %v, want that there was none", by, rev, got, err)
		case !absent.Deleted.Equal(times[want.deleted]) || !absent.Created.Equal(times[want.created]):
			t.Errorf("by %s %d: %+v, want deleted %v, created %v", by, rev, absent, times[want.deleted], times[want.created])
		}
	}
}

// What had a name at a moment answers for it, whether it is still there or not.
func TestPastOfAName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice, bob := &fixtureUser{f, "alice"}, &fixtureUser{f, "bob"}
	beginning := revisionOf(t, alice.create(t, "other"))
	first := revisionOf(t, alice.create(t, "shop"))
	changed := alice.label(t, "shop", "1")
	deletedFirst := revisionOf(t, bob.delete(t, "shop"))
	between := alice.label(t, "other", "between")
	second := revisionOf(t, alice.create(t, "shop"))
	alice.label(t, "other", "later")
	deletedSecond := revisionOf(t, bob.delete(t, "shop"))
	last := alice.label(t, "other", "last")
	third := func() int64 { return revisionOf(t, alice.create(t, "shop")) }
	reader, key := pastOf(f), podKey("shop")

	times := map[int64]time.Time{}
	all, err := f.db.History(t.Context(), "/pods/", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		times[r.ResourceVersion] = r.Time
	}
	moments := map[int64]answer{
		beginning: {created: first}, first: {revision: first}, changed: {revision: changed},
		deletedFirst: {deleted: deletedFirst, created: second}, between: {deleted: deletedFirst, created: second},
		second: {revision: second}, deletedSecond - 1: {revision: second},
		deletedSecond: {deleted: deletedSecond}, last: {deleted: deletedSecond},
	}
	for rev, want := range moments {
		wantAtMoment(t, reader, rev, times, want)
	}
	got, err := reader.List(t.Context(), key, 0, 10)
	want := []string{fmt.Sprintf("%d bob delete", deletedSecond), fmt.Sprintf(`%d alice create "" at %[1]d`, second)}
	if diff := cmp.Diff(want, summaries(got)); diff != "" || err != nil {
		t.Errorf("history of the last that had the name: error %v (-want +got):\n%s", err, diff)
	}
	if _, err := reader.AtRevision(t.Context(), key, last+1); !errors.Is(err, history.ErrFuture) {
		t.Errorf("at a revision to come: %v, want ErrFuture", err)
	}

	created := third()
	if got, err := reader.List(t.Context(), key, 0, 10); err != nil || len(got) != 1 || got[0].ResourceVersion != created {
		t.Errorf("history of the one that is there: %v, error %v, want %d", summaries(got), err, created)
	}
	all, err = f.db.History(t.Context(), key, 1)
	if err != nil {
		t.Fatal(err)
	}
	times[created] = all[0].Time
	moments[last] = answer{deleted: deletedSecond, created: created}
	moments[deletedSecond] = moments[last]
	for rev, want := range moments {
		wantAtMoment(t, reader, rev, times, want)
	}

	f.cut(t, second+1)
	for _, rev := range []int64{first, deletedFirst} {
		var expired *history.ExpiredError
		if _, err := reader.AtRevision(t.Context(), key, rev); !errors.As(err, &expired) || expired.Revision != second || !expired.Since.Equal(times[second+1]) {
			t.Errorf("at revision %d before the cut: %v, %+v, want since %d, %v", rev, err, expired, second, times[second+1])
		}
	}
	for rev, want := range moments {
		if rev > second {
			wantAtMoment(t, reader, rev, times, want)
		}
	}
}

func TestPastThatIsNoLongerKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := &fixtureUser{f, "alice"}
	created := revisionOf(t, alice.create(t, "shop"))
	last := alice.label(t, "shop", "1")
	if _, err := f.db.pool.Exec(t.Context(), "delete from log where rev = $1", created); err != nil {
		t.Fatal(err)
	}
	reader, key := pastOf(f), podKey("shop")
	if _, err := reader.Get(t.Context(), key, created); !errors.Is(err, history.ErrExpired) {
		t.Errorf("by revision: %v, want ErrExpired", err)
	}
	if _, err := reader.At(t.Context(), key, time.Now().Add(-time.Hour)); !errors.Is(err, history.ErrExpired) {
		t.Errorf("by time: %v, want ErrExpired", err)
	}
	if got, err := reader.List(t.Context(), key, 0, 10); err != nil || len(got) != 1 || got[0].ResourceVersion != last {
		t.Errorf("what is left: %v, error %v", summaries(got), err)
	}
}

// explain returns the plan of a query the way sessions of the storage run it.
func explain(t *testing.T, db *Database, query string, args ...string) string {
	t.Helper()
	for i, arg := range slices.Backward(args) {
		query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i+1), arg)
	}
	rows, err := db.pool.Query(t.Context(), "explain "+query)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// The index must serve also once there are several partitions and other objects
// have written more.
func TestPastUsesTheIndex(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	(&fixtureUser{f, "alice"}).create(t, "shop")
	key := "'" + podKey("shop") + "'"
	latest := "9223372036854775807::bigint"
	for name, test := range map[string]struct {
		plan, index string
		ordered     bool // by the index
	}{
		"the latest of an object":      {explain(t, f.db, revisionsQuery, key, latest, "10"), "crt_rev_idx", true},
		"the latest of a deleted one":  {explain(t, f.db, revisionsQuery, key, latest, "10"), "key_rev_idx", true},
		"an object at a time":          {explain(t, f.db, objectAtQuery, key, latest, "now()::timestamptz"), "crt_rev_idx", false},
		"a deleted object at a time":   {explain(t, f.db, objectAtQuery, key, latest, "now()::timestamptz"), "key_rev_idx", false},
		"why there was nothing":        {explain(t, f.db, absentQuery, key, latest, "now()::timestamptz"), "key_rev_idx", false},
		"all objects at a revision":    {explain(t, f.db, stateAtQuery, "'/pods/'", "'/pods0'", "2::bigint"), "crt_rev_idx", false},
		"a step of the search by time": {explain(t, f.db, "select rev, at from log where rev > $1 and rev <= $2 order by rev desc limit 1", "1", "2"), "_pkey", true},
	} {
		// The one row of meta is no table to search.
		plan := strings.ReplaceAll(test.plan, "Seq Scan on meta", "")
		if !strings.Contains(plan, test.index) || strings.Contains(plan, "Seq Scan") || test.ordered && strings.Contains(plan, "Sort") {
			t.Errorf("%s is read by this plan:\n%s", name, test.plan)
		}
	}
}

// The state of the past is what was listed then, deleted objects included.
func TestPastState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	random := rand.New(rand.NewPCG(3, 3))
	// What a list at each revision says, by a way of its own.
	at := func(rev int64) []string {
		var all []string
		list := listPods(t, f.Storage, storage.ListOptions{ResourceVersion: fmt.Sprint(rev), ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		for _, pod := range list.Items {
			all = append(all, fmt.Sprintf("%s at %s: %q", pod.Name, pod.ResourceVersion, pod.Labels["value"]))
		}
		return all
	}
	f.churn(t, random, 60)
	f.increaseRevision(t.Context(), t) // outside the prefix
	f.churn(t, random, 60)
	want := map[int64][]string{}
	last := f.db.hub.position().rev
	for rev := int64(1); rev <= last; rev++ {
		want[rev] = at(rev)
	}
	check := func(from int64) {
		t.Helper()
		for rev := from; rev <= last; rev++ {
			state, err := pastOf(f).State(t.Context(), "/pods", rev)
			if err != nil {
				t.Fatalf("at %d: %v", rev, err)
			}
			var got []string
			for _, r := range state {
				pod := r.Object.(*example.Pod)
				got = append(got, fmt.Sprintf("%s at %d: %q", pod.Name, r.ResourceVersion, pod.Labels["value"]))
			}
			if diff := cmp.Diff(want[rev], got); diff != "" {
				t.Errorf("at %d (-want +got):\n%s", rev, diff)
			}
		}
	}
	check(1)
	const cut = 70
	f.cut(t, cut)
	check(cut - 1)
	if _, err := pastOf(f).State(t.Context(), "/pods", cut-2); !errors.Is(err, history.ErrExpired) {
		t.Errorf("before what is kept: %v, want ErrExpired", err)
	}
	if _, err := pastOf(f).State(t.Context(), "/pods", last+1); !errors.Is(err, history.ErrNotFound) {
		t.Errorf("in the future: %v, want ErrNotFound", err)
	}
	if rev, err := pastOf(f).RevisionAt(t.Context(), time.Now().Add(time.Hour)); err != nil || rev != last {
		t.Errorf("the last revision by now is %d, error %v, want %d", rev, err, last)
	}
}

// TestPastStateOutOfRange: what cannot be told is not decoded either.
func TestPastStateOutOfRange(t *testing.T) {
	t.Parallel()
	codec := newCountingCodec()
	f := newFixture(t, withCodec(codec))
	createPod(t, f.Storage, "one")
	last := revisionOf(t, createPod(t, f.Storage, "two"))
	f.jump(t, last+10)
	f.cut(t, last+10)
	decodes := codec.decodes.Load()
	for rev, want := range map[int64]error{last: history.ErrExpired, last + 1000: history.ErrNotFound} {
		if _, err := pastOf(f).State(t.Context(), "/pods", rev); !errors.Is(err, want) {
			t.Errorf("at %d: %v, want %v", rev, err, want)
		}
	}
	if got := codec.decodes.Load() - decodes; got != 0 {
		t.Errorf("decoded %d objects, want none", got)
	}
}
