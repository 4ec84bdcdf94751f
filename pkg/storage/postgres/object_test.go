package postgres

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
)

// countingCodec counts what it decodes and encodes.
type countingCodec struct {
	runtime.Codec
	decodes, encodes atomic.Int64
}

func newCountingCodec() *countingCodec {
	return &countingCodec{Codec: apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion)}
}

func (c *countingCodec) Decode(
	data []byte, defaults *schema.GroupVersionKind, into runtime.Object,
) (runtime.Object, *schema.GroupVersionKind, error) {
	c.decodes.Add(1)
	return c.Codec.Decode(data, defaults, into)
}

func (c *countingCodec) Encode(obj runtime.Object, w io.Writer) error {
	c.encodes.Add(1)
	return c.Codec.Encode(obj, w)
}

// eachWay runs a test on a storage that decodes what was written, and on one that copies.
func eachWay(t *testing.T, run func(t *testing.T, roundTrips fixtureOption)) {
	t.Helper()
	for name, roundTrips := range map[string]bool{"decoding": false, "copying": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(r *Resource) { r.RoundTrips = roundTrips })
		})
	}
}

// TestChangesAreDecodedOnce has a writer and several watches, some with a selector that
// takes previous values to evaluate, follow one object through its life.
func TestChangesAreDecodedOnce(t *testing.T) { eachWay(t, testChangesAreDecodedOnce) }

func testChangesAreDecodedOnce(t *testing.T, roundTrips fixtureOption) {
	// The poll of the log may come between a commit and its writer's word of it, and what
	// it reads is decoded. It comes once a second, so hardly each time.
	var got, want int64
	for range 3 {
		if got, want = decodesOfOneLife(t, roundTrips); got == want {
			return
		}
	}
	t.Errorf("decoded %d times, want %d", got, want)
}

func decodesOfOneLife(t *testing.T, roundTrips fixtureOption) (got, want int64) {
	t.Helper()
	codec := newCountingCodec()
	f := newFixture(t, withCodec(codec), roundTrips)
	start := listPods(t, f.Storage, storage.ListOptions{}).ResourceVersion
	watches := []watch.Interface{watchPods(t, f.Storage, start), watchPods(t, f.Storage, start)}
	for range 2 {
		w, err := f.Watch(t.Context(), "/pods", storage.ListOptions{
			ResourceVersion: start, Recursive: true,
			Predicate: storage.SelectionPredicate{
				Label: mustParse(t, "!hidden"), Field: fields.Everything(), GetAttrs: podAttributes,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		watches = append(watches, w)
	}
	pod := createPod(t, f.Storage, "pod")
	update := func(step string) *example.Pod {
		t.Helper()
		out := &example.Pod{}
		err := f.GuaranteedUpdate(t.Context(), podKey("pod"), out, false, nil, storage.SimpleUpdate(
			func(obj runtime.Object) (runtime.Object, error) {
				obj.(*example.Pod).Annotations = map[string]string{"step": step}
				return obj, nil
			}), pod)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	pod = update("one")
	pod = update("two")
	err := f.Delete(t.Context(), podKey("pod"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, pod, storage.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range watches {
		for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Modified, watch.Deleted} {
			nextPod(t, w, want)
		}
	}
	want = 3 // values
	if f.resource.RoundTrips {
		want = 0
	}
	return codec.decodes.Load(), want
}

// TestWhatWasJustWrittenIsNotEncodedAgain updates and deletes an object that the caller
// has from the write before.
func TestWhatWasJustWrittenIsNotEncodedAgain(t *testing.T) {
	t.Parallel()
	codec := newCountingCodec()
	f := newFixture(t, withCodec(codec), func(r *Resource) { r.RoundTrips = true })
	pod := createPod(t, f.Storage, "pod")
	out := &example.Pod{}
	err := f.GuaranteedUpdate(t.Context(), podKey("pod"), out, false, nil, storage.SimpleUpdate(
		func(obj runtime.Object) (runtime.Object, error) {
			changed := obj.DeepCopyObject().(*example.Pod)
			changed.Annotations = map[string]string{"step": "one"}
			return changed, nil
		}), pod)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Delete(t.Context(), podKey("pod"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, out, storage.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := codec.encodes.Load(); got != 2 {
		t.Errorf("encoded %d times, want 2: what was created, and what it was changed to", got)
	}
}

// TestCopiesAreAsDecoded writes times that are finer than what is stored of them, and
// compares what a watch gets with what another replica decodes.
func TestCopiesAreAsDecoded(t *testing.T) { eachWay(t, testCopiesAreAsDecoded) }

func testCopiesAreAsDecoded(t *testing.T, roundTrips fixtureOption) {
	f := newFixture(t, roundTrips)
	w := watchPods(t, f.Storage, listPods(t, f.Storage, storage.ListOptions{}).ResourceVersion)
	written := newPod("pod")
	now := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 678, time.Local))
	written.CreationTimestamp, written.DeletionTimestamp = now, &now
	written.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "somebody", Time: &now}}
	if err := f.Create(t.Context(), podKey("pod"), written, &example.Pod{}, 0); err != nil {
		t.Fatal(err)
	}
	want := getPod(t, newFixtureAt(t, f.dsn).Storage, "pod")
	if got := nextPod(t, w, watch.Added); !apiequality.Semantic.DeepEqual(want, got) {
		t.Errorf("watched pod (-decoded +got):\n%s", cmp.Diff(want, got))
	}
	if now.Nanosecond() != 678 {
		t.Errorf("the writer's time became %v", now)
	}
}

// TestObjectsAreNotShared changes what one got and looks at what the others get.
func TestObjectsAreNotShared(t *testing.T) { eachWay(t, testObjectsAreNotShared) }

func testObjectsAreNotShared(t *testing.T, roundTrips fixtureOption) {
	f := newFixture(t, roundTrips)
	w := watchPods(t, f.Storage, listPods(t, f.Storage, storage.ListOptions{}).ResourceVersion)
	written := newPod("pod")
	written.Labels = map[string]string{"color": "red"}
	out := &example.Pod{}
	if err := f.Create(t.Context(), podKey("pod"), written, out, 0); err != nil {
		t.Fatal(err)
	}
	written.Labels["color"] = "changed by the writer"
	out.Labels["color"] = "changed by the creator"
	first := nextPod(t, w, watch.Added)
	if got := first.Labels["color"]; got != "red" {
		t.Errorf("the watch sees color %q", got)
	}
	first.Labels["color"] = "changed by the watch"
	again := watchPods(t, f.Storage, "1")
	if got := nextPod(t, again, watch.Added).Labels["color"]; got != "red" {
		t.Errorf("the second watch sees color %q", got)
	}
	last := deletePod(t, f.Storage, "pod")
	last.Labels["color"] = "changed by the deleter"
	for name, w := range map[string]watch.Interface{"first": w, "second": again} {
		if got := nextPod(t, w, watch.Deleted).Labels["color"]; got != "red" {
			t.Errorf("the %s watch sees color %q deleted", name, got)
		}
	}
}
