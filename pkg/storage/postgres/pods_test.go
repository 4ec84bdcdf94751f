package postgres

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// eventTimeout is far longer than any event takes.
const eventTimeout = 30 * time.Second

func podKey(name string) string { return "/pods/ns/" + name }

func newPod(name string) *example.Pod {
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
}

func createPod(t *testing.T, s storage.Interface, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	if err := s.Create(t.Context(), podKey(name), newPod(name), out, 0); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
	return out
}

func getPod(t *testing.T, s storage.Interface, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	if err := s.Get(t.Context(), podKey(name), storage.GetOptions{}, out); err != nil {
		t.Fatalf("getting %s: %v", name, err)
	}
	return out
}

// increment adds one to the counter a pod carries, creating the pod if need be.
func increment(ctx context.Context, s storage.Interface, name string) (*example.Pod, error) {
	out := &example.Pod{}
	err := s.GuaranteedUpdate(ctx, podKey(name), out, true, nil, storage.SimpleUpdate(
		func(obj runtime.Object) (runtime.Object, error) {
			pod := obj.(*example.Pod)
			if pod.Name == "" {
				pod = newPod(name)
			}
			n := counter(pod)
			pod.Annotations = map[string]string{"counter": strconv.Itoa(n + 1)}
			return pod, nil
		}), nil)
	return out, err
}

func mustIncrement(t *testing.T, s *Storage, name string) {
	t.Helper()
	if _, err := increment(t.Context(), s, name); err != nil {
		t.Fatal(err)
	}
}

func counter(pod *example.Pod) int {
	n, _ := strconv.Atoi(pod.Annotations["counter"])
	return n
}

func deletePod(t testing.TB, s storage.Interface, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	if err := s.Delete(t.Context(), podKey(name), out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Fatalf("deleting %s: %v", name, err)
	}
	return out
}

func listPods(t *testing.T, s storage.Interface, opts storage.ListOptions) *example.PodList {
	t.Helper()
	opts.Recursive = true
	if opts.Predicate.Label == nil {
		opts.Predicate = storage.Everything
	}
	out := &example.PodList{}
	if err := s.GetList(t.Context(), "/pods", opts, out); err != nil {
		t.Fatalf("listing: %v", err)
	}
	return out
}

func watchPods(t *testing.T, s storage.Interface, resourceVersion string) watch.Interface {
	t.Helper()
	w, err := s.Watch(t.Context(), "/pods", storage.ListOptions{
		ResourceVersion: resourceVersion, Recursive: true, Predicate: storage.Everything,
	})
	if err != nil {
		t.Fatalf("watching: %v", err)
	}
	t.Cleanup(w.Stop)
	return w
}

func nextEvent(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch ended")
		}
		return event
	case <-time.After(eventTimeout):
		t.Fatal("no event came")
	}
	panic("unreachable")
}

// nextPod returns the pod of the next event, which must have a type.
func nextPod(t *testing.T, w watch.Interface, want watch.EventType) *example.Pod {
	t.Helper()
	event := nextEvent(t, w)
	if event.Type != want {
		t.Fatalf("event %s %v, want %s", event.Type, event.Object, want)
	}
	return event.Object.(*example.Pod)
}

func revisionOf(t *testing.T, obj metav1.Object) int64 {
	t.Helper()
	rev, err := strconv.ParseInt(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// checkDense fails unless the log has exactly one row for each revision.
func checkDense(t *testing.T, db *Database) {
	t.Helper()
	var rows, first, last, rev int64
	err := db.pool.QueryRow(t.Context(),
		"select count(*), min(log.rev), max(log.rev), max(meta.rev) from log, meta").Scan(&rows, &first, &last, &rev)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(rev-1, int64(2), rev); fmt.Sprint(rows, first, last) != want {
		t.Errorf("rows, first, last of the log: %d %d %d, want %s", rows, first, last, want)
	}
}

func podAttributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod := obj.(*example.Pod)
	return pod.Labels, fields.Set{
		"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "spec.nodeName": pod.Spec.NodeName,
	}, nil
}
