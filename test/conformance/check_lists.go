package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

func checkPages(t *T) {
	const size, limit = 23, 5
	var want, got []string
	for range size {
		want = append(want, t.create().GetName())
	}
	options := metav1.ListOptions{Limit: limit}
	var first *unstructured.UnstructuredList
	for {
		page, err := t.objects().List(t.Context(), options)
		t.must(err)
		if first == nil {
			first = page
			// What happens meanwhile is not on the pages.
			t.create()
			t.must(t.objects().Delete(t.Context(), want[size-1], metav1.DeleteOptions{}))
		}
		if page.GetResourceVersion() != first.GetResourceVersion() {
			t.Errorf("a page is at %s, the first at %s", page.GetResourceVersion(), first.GetResourceVersion())
		}
		for _, item := range page.Items {
			got = append(got, item.GetName())
		}
		if remaining := page.GetRemainingItemCount(); page.GetContinue() != "" && (remaining == nil || int(*remaining) != size-len(got)) {
			t.Errorf("after %d of %d objects remainingItemCount is %v", len(got), size, ptr.Deref(remaining, -1))
		}
		if len(page.Items) > limit {
			t.Errorf("a page has %d objects", len(page.Items))
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			break
		}
	}
	t.equal("the objects of all pages", got, want)
	_, err := t.objects().List(t.Context(), metav1.ListOptions{Limit: limit, Continue: "forged"})
	t.refused("a forged token", err, metav1.StatusReasonBadRequest)
	if t.past != nil {
		t.checkOldToken()
	}
}

func (t *T) checkOldToken() {
	objects := t.dynamic.Resource(t.GroupVersionResource()).Namespace(t.past.namespace)
	_, err := objects.List(t.Context(), metav1.ListOptions{Limit: 1, Continue: t.past.token})
	t.refused("an old token", err, metav1.StatusReasonExpired)
	var fresh string
	if expired := apierrors.APIStatus(nil); errors.As(err, &expired) {
		fresh = expired.Status().Continue
	}
	if fresh == "" {
		t.Fatal("the refusal of an old token brings no token to go on with")
	}
	if rest, err := objects.List(t.Context(), metav1.ListOptions{Limit: 1, Continue: fresh}); err != nil || len(rest.Items) != 1 {
		t.Errorf("going on with the token of the refusal: %v", err)
	}
}

// watch watches the check's namespace until the check ends.
func (t *T) watch(options metav1.ListOptions) watch.Interface {
	watcher, err := t.objects().Watch(t.Context(), options)
	t.must(err)
	t.Cleanup(watcher.Stop)
	return watcher
}

// next returns the object of the next event of the type, and fails for those that are
// none of types.
func (t *T) next(watcher watch.Interface, want watch.EventType, others ...watch.EventType) *unstructured.Unstructured {
	timeout := time.After(patience)
	for {
		select {
		case event, open := <-watcher.ResultChan():
			if !open {
				t.Fatalf("the watch ended, want %s", want)
			}
			object, _ := event.Object.(*unstructured.Unstructured)
			if event.Type == want {
				return object
			}
			if !slices.Contains(others, event.Type) {
				t.Fatalf("got %s of %v, want %s", event.Type, event.Object, want)
			}
		case <-timeout:
			t.Fatalf("no event within %s, want %s", patience, want)
		}
	}
}

func checkWatch(t *T) {
	list, err := t.objects().List(t.Context(), metav1.ListOptions{})
	t.must(err)
	from := list.GetResourceVersion()
	name := t.create().GetName()
	all := t.watch(metav1.ListOptions{ResourceVersion: from})
	if added := t.next(all, watch.Added); added.GetName() != name {
		t.Errorf("the first event after the list is of %s, want %s", added.GetName(), name)
	}
	label := func(value any) *unstructured.Unstructured {
		return t.patch(name, map[string]any{"metadata": map[string]any{"labels": map[string]any{"tier": value}}})
	}
	gold := t.watch(metav1.ListOptions{ResourceVersion: from, LabelSelector: "tier=gold"})
	label("gold")
	t.next(gold, watch.Added)
	label("iron")
	if gone := t.next(gold, watch.Deleted, watch.Modified); gone.GetLabels()["tier"] != "gold" {
		t.Errorf("what went out of the selection had label %q in the last event", gone.GetLabels()["tier"])
	}
	last := label("gold")
	t.next(gold, watch.Added)
	t.must(t.objects().Delete(t.Context(), name, metav1.DeleteOptions{}))
	deleted := t.next(all, watch.Deleted, watch.Modified)
	if deleted.GetResourceVersion() == last.GetResourceVersion() {
		t.Errorf("the deletion is at %s, as the last change", last.GetResourceVersion())
	}
	t.gone(name)
	t.checkInitialEvents()
	t.checkBookmarks()
	t.checkOldRevisions()
	t.checkInformer()
}

func (t *T) checkInitialEvents() {
	made := []string{t.create().GetName(), t.create().GetName()}
	stream := t.watch(metav1.ListOptions{
		SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	t.equal("the initial events", []string{t.next(stream, watch.Added).GetName(), t.next(stream, watch.Added).GetName()}, made)
	if end := t.next(stream, watch.Bookmark, watch.Modified); end.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("the bookmark after the initial events has annotations %v", end.GetAnnotations())
	}
}

// checkBookmarks waits for the bookmark that comes shortly before a watch ends. It is
// tried for, not promised: another watch has another chance.
func (t *T) checkBookmarks() {
	created := t.create()
	t.eventually("a bookmark", func(context.Context) (bool, error) {
		watcher := t.watch(metav1.ListOptions{ResourceVersion: created.GetResourceVersion(), AllowWatchBookmarks: true, TimeoutSeconds: ptr.To[int64](4)})
		for event := range watcher.ResultChan() {
			object, _ := event.Object.(*unstructured.Unstructured)
			if event.Type == watch.Bookmark && object.GetResourceVersion() != "" {
				return true, nil
			}
		}
		return false, nil
	})
}

func (t *T) checkOldRevisions() {
	future := t.send(t.Admin, http.MethodGet, t.path()+"?resourceVersionMatch=NotOlderThan&resourceVersion=1000000000000", nil, nil)
	t.refused("a list at a future revision", t.refusal(future), metav1.StatusReasonTimeout)
	t.contains(string(future.body), string(metav1.CauseTypeResourceVersionTooLarge), "retryAfterSeconds")
	if t.past == nil {
		return
	}
	watcher, err := t.dynamic.Resource(t.GroupVersionResource()).Namespace(t.past.namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: t.past.revision})
	if err == nil {
		defer watcher.Stop()
		select {
		case event := <-watcher.ResultChan():
			err = apierrors.FromObject(event.Object)
		case <-time.After(patience):
		}
	}
	t.refused("a revision that is forgotten", err, metav1.StatusReasonExpired, metav1.StatusReasonGone)
}

// checkInformer has the reflector of client-go follow, and compares with a list.
func (t *T) checkInformer() {
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(t.dynamic, 0, t.namespace(), nil)
	informer := factory.ForResource(t.GroupVersionResource()).Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	defer factory.Shutdown()
	defer close(stop)
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the informer has not read the list")
	}
	for range 5 {
		name := t.create().GetName()
		t.patch(name, nested(t.Mutable.Path, t.Mutable.Values[0]))
	}
	t.must(t.objects().Delete(t.Context(), t.create().GetName(), metav1.DeleteOptions{}))
	t.eventually("the informer to be at the list", func(ctx context.Context) (bool, error) {
		list, err := t.objects().List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != len(informer.GetStore().ListKeys()) {
			return false, err
		}
		for _, item := range list.Items {
			cached, there, err := informer.GetStore().GetByKey(fmt.Sprintf("%s/%s", item.GetNamespace(), item.GetName()))
			if err != nil || !there || cached.(*unstructured.Unstructured).GetResourceVersion() != item.GetResourceVersion() {
				return false, err
			}
		}
		return true, nil
	})
}
