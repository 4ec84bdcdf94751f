package postgres

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/history"
)

func TestHistoryOutlivesTheObject(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	as := func(name string) *fixtureUser { return &fixtureUser{fixture: f, name: name} }
	before := time.Now().Add(-time.Minute)
	first := as("alice").create(t, "shop")
	last := as("bob").delete(t, "shop")
	as("alice").create(t, "shop-2") // must not appear under the name of the other

	revisions, err := f.db.History(t.Context(), podKey("shop"), 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []Revision{
		{ResourceVersion: revisionOf(t, last), Key: podKey("shop"), Verb: history.Delete, Actor: "bob"},
		{ResourceVersion: revisionOf(t, first), Key: podKey("shop"), Verb: history.Create, Actor: "alice"},
	}
	if diff := cmp.Diff(want, revisions, cmpopts.IgnoreFields(Revision{}, "Time", "Value")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for _, rev := range revisions {
		if rev.Time.Before(before) || rev.Time.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s at %v", rev.Verb, rev.Time)
		}
	}
	if len(revisions) == 2 && !bytes.Contains(revisions[1].Value, []byte(`"shop"`)) {
		t.Errorf("the create kept the value %q", revisions[1].Value)
	}

	var rows int
	if err := f.db.pool.QueryRow(t.Context(), "select count(*) from head where key = $1", podKey("shop")).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 0 {
		t.Errorf("%d rows of current state left after the deletion", rows)
	}
}

func TestHistoryOfPrefix(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, name := range []string{"a", "b", "c"} {
		createPod(t, f.Storage, name)
	}
	revisions, err := f.db.History(t.Context(), "/pods/ns/", 2)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, rev := range revisions {
		keys = append(keys, rev.Key)
	}
	if diff := cmp.Diff([]string{podKey("c"), podKey("b")}, keys); diff != "" {
		t.Errorf("latest two keys (-want +got):\n%s", diff)
	}
}

// fixtureUser writes in the name of a user.
type fixtureUser struct {
	*fixture
	name string
}

func (u *fixtureUser) create(t *testing.T, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: u.name})
	if err := u.Create(ctx, podKey(name), newPod(name), out, 0); err != nil {
		t.Fatal(err)
	}
	return out
}

func (u *fixtureUser) delete(t *testing.T, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: u.name})
	if err := u.Delete(ctx, podKey(name), out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return out
}
