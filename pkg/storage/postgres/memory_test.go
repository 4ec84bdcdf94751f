package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestConformanceWithoutTransformer runs what passes with any transformer where lists
// keep what they decode.
func TestConformanceWithoutTransformer(t *testing.T) {
	runConformanceInParallel(t, []fixtureOption{withTransformer(nil)}, plainTests(), revisionTests())
}

// inPages lists pods by so many at a time.
func inPages(t *testing.T, s storage.Interface, size int64) *example.PodList {
	t.Helper()
	opts := storage.ListOptions{Predicate: storage.Everything}
	opts.Predicate.Limit = size
	all := listPods(t, s, opts)
	for next := all; next.Continue != ""; {
		opts.Predicate.Continue = next.Continue
		next = listPods(t, s, opts)
		all.Items = append(all.Items, next.Items...)
	}
	return all
}

func exactly(resourceVersion string) storage.ListOptions {
	return storage.ListOptions{ResourceVersion: resourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
}

func TestListsDecodeOnce(t *testing.T) {
	t.Parallel()
	const pods = 70 // more than two chunks
	dsn := postgrestest.New(t)
	writer := newFixtureAt(t, dsn, withTransformer(nil))
	for i := range pods {
		createPod(t, writer.Storage, fmt.Sprintf("pod-%02d", i))
	}
	codec := newCountingCodec()
	// It has not seen the writes.
	f := newFixtureAt(t, dsn, withTransformer(nil), withCodec(codec))
	first := listPods(t, f.Storage, storage.ListOptions{})

	selected := storage.ListOptions{Predicate: storage.SelectionPredicate{
		Label: mustParse(t, "!hidden"), Field: fields.Everything(), GetAttrs: podAttributes, Limit: pods,
	}}
	for _, test := range []struct {
		name    string
		list    func() *example.PodList
		decodes int64
	}{
		{"the first", func() *example.PodList { return first }, pods},
		{"at once", func() *example.PodList { return listPods(t, f.Storage, storage.ListOptions{}) }, 0},
		{"in pages", func() *example.PodList { return inPages(t, f.Storage, 7) }, 0},
		{"by a selector", func() *example.PodList { return listPods(t, f.Storage, selected) }, 0},
		{"at a revision", func() *example.PodList { return listPods(t, f.Storage, exactly(first.ResourceVersion)) }, 0},
	} {
		got := test.list()
		if decodes := codec.decodes.Swap(0); decodes != test.decodes {
			t.Errorf("%s: decoded %d objects, want %d", test.name, decodes, test.decodes)
		}
		if diff := cmp.Diff(first.Items, got.Items); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}

	mustIncrement(t, writer.Storage, "pod-33")
	changed := listPods(t, f.Storage, storage.ListOptions{})
	if decodes := codec.decodes.Load(); decodes != 1 || counter(&changed.Items[33]) != 1 {
		t.Errorf("decoded %d objects after one had changed, and listed %v", decodes, changed.Items[33])
	}
}

// TestListsFromMemory compares one replica's lists with those of another, which keeps
// nothing, while a third writes.
func TestListsFromMemory(t *testing.T) {
	for name, bound := range map[string]int{"of everything": 1 << 20, "of some objects": 700} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := postgrestest.New(t)
			plain := withTransformer(identity.NewEncryptCheckTransformer())
			writer, truth := newFixtureAt(t, dsn, plain), newFixtureAt(t, dsn, plain)
			tested := newFixtureAt(t, dsn, withTransformer(nil))
			tested.db.memory.bound = bound
			for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
				createPod(t, writer.Storage, name)
			}
			var past []string
			for _, step := range []struct {
				name string
				do   func()
			}{
				{"nothing", func() {}},
				{"update", func() { mustIncrement(t, writer.Storage, "b") }},
				{"own update", func() { mustIncrement(t, tested.Storage, "a") }},
				{"deletion", func() { deletePod(t, writer.Storage, "c") }},
				{"another in its place", func() { createPod(t, writer.Storage, "c") }},
				{"sweep", tested.db.memory.sweep},
				{"own deletion and another in its place", func() {
					deletePod(t, tested.Storage, "d")
					createPod(t, tested.Storage, "d")
				}},
				{"failover", func() {
					if _, err := truth.db.pool.Exec(t.Context(), "update meta set timeline = timeline + 1"); err != nil {
						t.Fatal(err)
					}
					newFixtureAt(t, dsn) // opens new sessions, which notice
					past = nil           // no longer served
				}},
				{"update after it", func() { mustIncrement(t, writer.Storage, "e") }},
				{"two sweeps", func() { tested.db.memory.sweep(); tested.db.memory.sweep() }},
			} {
				step.do()
				want := listPods(t, truth.Storage, storage.ListOptions{})
				past = append(past, want.ResourceVersion)
				for range 2 {
					if diff := cmp.Diff(want, listPods(t, tested.Storage, storage.ListOptions{})); diff != "" {
						t.Errorf("after %s: %s", step.name, diff)
					}
					if diff := cmp.Diff(want.Items, inPages(t, tested.Storage, 2).Items); diff != "" {
						t.Errorf("in pages after %s: %s", step.name, diff)
					}
				}
				for _, at := range past {
					if diff := cmp.Diff(listPods(t, truth.Storage, exactly(at)), listPods(t, tested.Storage, exactly(at))); diff != "" {
						t.Errorf("at %s after %s: %s", at, step.name, diff)
					}
				}
				if kept := tested.db.memory.size(); kept > bound || kept == 0 {
					t.Errorf("after %s %d bytes are kept, want some and at most %d", step.name, kept, bound)
				}
			}
		})
	}
}

// TestListedObjectsAreTheCallers changes all that lists return, the first and one from
// memory.
func TestListedObjectsAreTheCallers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withTransformer(nil))
	pod := newPod("pod")
	pod.Labels = map[string]string{"app": "web"}
	if err := f.Create(t.Context(), podKey("pod"), pod, &example.Pod{}, 0); err != nil {
		t.Fatal(err)
	}
	want := getPod(t, f.Storage, "pod")
	for range 3 {
		got := &listPods(t, f.Storage, storage.ListOptions{}).Items[0]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		got.Labels["app"] = "changed"
		got.ResourceVersion = "1"
	}
}

func TestTransformedObjectsAreNotKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	createPod(t, f.Storage, "pod")
	listPods(t, f.Storage, storage.ListOptions{})
	if kept := f.db.memory.size(); kept != 0 {
		t.Errorf("%d bytes are kept, want none", kept)
	}
}

// beforeQuery calls a function once, before a statement is sent.
type beforeQuery struct {
	query string
	do    func()
	once  sync.Once
}

func (b *beforeQuery) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL == b.query {
		b.once.Do(b.do)
	}
	return ctx
}

func (b *beforeQuery) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestListLosesValue takes a value from the log between a list's statements, as a cut
// might that comes after a list has been under way for very long.
func TestListLosesValue(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	writer := newFixtureAt(t, dsn, withTransformer(nil))
	createPod(t, writer.Storage, "known")
	lost := createPod(t, writer.Storage, "lost")
	replaced := false
	db, err := Open(t.Context(), Config{ConnString: dsn, MaxConns: 4, Tracer: &beforeQuery{query: valuesQuery, do: func() {
		replaced = true
		mustIncrement(t, writer.Storage, "lost")
		if _, err := writer.db.pool.Exec(t.Context(), "delete from log where rev = $1", revisionOf(t, lost)); err != nil {
			t.Error(err)
		}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := newPodStorage(t, db, withTransformer(nil))
	if err := s.GetList(t.Context(), podKey("known"), storage.ListOptions{Predicate: storage.Everything}, &example.PodList{}); err != nil {
		t.Fatal(err)
	}
	pods := listPods(t, s, storage.ListOptions{}).Items
	if !replaced || len(pods) != 2 || counter(&pods[1]) != 1 {
		t.Errorf("listed %v, want the later state of the second", pods)
	}
}

func TestMemory(t *testing.T) {
	one, other := &Storage{}, &Storage{}
	pod := func(rev int64) runtime.Object {
		return &example.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: fmt.Sprint(rev)}}
	}
	type offer struct {
		s     *Storage
		key   string
		rev   int64
		size  int
		taken bool
	}
	for _, test := range []struct {
		name   string
		offers []offer
		sweeps int
		have   map[string]int64 // revisions by keys
		size   int
	}{
		{"one", []offer{{one, "a", 5, 40, true}}, 0, map[string]int64{"a": 5}, 40},
		{"later revision", []offer{{one, "a", 5, 40, true}, {one, "a", 6, 90, true}}, 0, map[string]int64{"a": 6}, 90},
		{"earlier revision", []offer{{one, "a", 5, 40, true}, {one, "a", 4, 50, false}}, 0, map[string]int64{"a": 5}, 40},
		{"the same again", []offer{{one, "a", 5, 40, true}, {one, "a", 5, 40, false}}, 0, map[string]int64{"a": 5}, 40},
		{"full", []offer{{one, "a", 5, 60, true}, {one, "b", 6, 41, false}, {one, "c", 7, 40, true}}, 0, map[string]int64{"a": 5, "c": 7}, 100},
		{"too large in place of what fitted", []offer{{one, "a", 5, 60, true}, {one, "a", 6, 101, false}}, 0, map[string]int64{"a": 5}, 60},
		{"another storage's", []offer{{other, "a", 5, 60, true}}, 0, map[string]int64{}, 60},
		{"unused since one sweep", []offer{{one, "a", 5, 60, true}}, 1, map[string]int64{"a": 5}, 60},
		{"unused since two sweeps", []offer{{one, "a", 5, 60, true}, {other, "b", 6, 40, true}}, 2, map[string]int64{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMemory(100)
			for _, o := range test.offers {
				if taken := m.put(o.s, o.key, o.rev, pod(o.rev), o.size); taken != o.taken {
					t.Errorf("%s at %d was taken: %t, want %t", o.key, o.rev, taken, o.taken)
				}
			}
			for range test.sweeps {
				m.sweep()
			}
			if got, want := m.knows(one), len(test.have) > 0; got != want {
				t.Errorf("knows the storage: %t, want %t", got, want)
			}
			if got := m.size(); got != test.size {
				t.Errorf("%d bytes, want %d", got, test.size)
			}
			for _, o := range test.offers {
				got, want := m.get(one, o.key, o.rev), runtime.Object(nil)
				if test.have[o.key] == o.rev {
					want = pod(o.rev)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s at %d: %s", o.key, o.rev, diff)
				}
			}
		})
	}
}
