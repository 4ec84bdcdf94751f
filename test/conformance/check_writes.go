package conformance

import (
	"context"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"
)

func checkCreate(t *T) {
	created := t.create()
	_, err := t.objects().Create(t.Context(), t.object(created.GetName()), metav1.CreateOptions{})
	t.refused("an existing name", err, metav1.StatusReasonAlreadyExists)
	if got := t.get(created.GetName()); got.GetUID() != created.GetUID() {
		t.Errorf("creating an existing name has replaced the object")
	}
	generated := t.object("")
	generated.SetName("")
	generated.SetGenerateName("generated-")
	for range 2 {
		made, err := t.objects().Create(t.Context(), generated, metav1.CreateOptions{})
		t.must(err)
		if name := made.GetName(); !strings.HasPrefix(name, "generated-") || name == "generated-" {
			t.Errorf("the generated name is %q", name)
		}
	}
}

func checkStatus(t *T) {
	t.needs(t.schema().at("status") != nil, "a status")
	if t.discovered("status") == nil {
		t.Fatalf("there is a status and no subresource %s/status", t.Resource)
	}
	t.needs(t.Status != nil, "a text in status")
	status := t.Status
	created := t.create(nested(status.Path, status.Value))
	name := created.GetName()
	if got := get(created, status.Path); got == status.Value {
		t.Errorf("%s came with the creation", status.Path)
	}
	updated := t.update(name, func(o *unstructured.Unstructured) {
		set(o, status.Path, status.Value)
		set(o, t.Mutable.Path, t.Mutable.Values[0])
	})
	if get(updated, status.Path) == status.Value || get(updated, t.Mutable.Path) != t.Mutable.Values[0] {
		t.Errorf("after a PUT of both, %s is %q and %s is %q", status.Path, get(updated, status.Path), t.Mutable.Path, get(updated, t.Mutable.Path))
	}
	updated = t.update(name, func(o *unstructured.Unstructured) {
		set(o, status.Path, status.Value)
		set(o, t.Mutable.Path, t.Mutable.Values[1])
	}, "status")
	if get(updated, status.Path) != status.Value || get(updated, t.Mutable.Path) != t.Mutable.Values[0] {
		t.Errorf("after a PUT of both to /status, %s is %q and %s is %q", status.Path, get(updated, status.Path), t.Mutable.Path, get(updated, t.Mutable.Path))
	}
	main, sub := t.allow(t.rule("", "get", "update")), t.allow(t.rule("status", "get", "update"))
	for user, e := range map[string]struct {
		allowed, refused []string
		what             string
	}{
		main: {nil, []string{"status"}, "status by who may write the rest"},
		sub:  {[]string{"status"}, nil, "the rest by who may write status"},
	} {
		t.permitted(user, func() error {
			_, err := t.as(user).Get(t.Context(), name, metav1.GetOptions{}, e.allowed...)
			return err
		})
		_, err := t.as(user).Update(t.Context(), t.get(name), metav1.UpdateOptions{}, e.refused...)
		t.refused(e.what, err, metav1.StatusReasonForbidden)
	}
}

func checkGeneration(t *T) {
	created := t.create()
	name, generation := created.GetName(), created.GetGeneration()
	if generation != 1 {
		t.Errorf("generation is %d after the creation, want 1", generation)
	}
	labelled := t.patch(name, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}, "annotations": map[string]any{"a": "b"}}})
	if labelled.GetGeneration() != generation {
		t.Errorf("generation went from %d to %d with labels", generation, labelled.GetGeneration())
	}
	changed := t.patch(name, nested(t.Mutable.Path, t.Mutable.Values[0]))
	if changed.GetGeneration() != generation+1 {
		t.Errorf("generation went from %d to %d with a change of spec, want one more", generation, changed.GetGeneration())
	}
	if same := t.patch(name, nested(t.Mutable.Path, t.Mutable.Values[0])); same.GetGeneration() != changed.GetGeneration() {
		t.Errorf("generation went from %d to %d without a change", changed.GetGeneration(), same.GetGeneration())
	}
	if t.Status != nil {
		if status := t.patch(name, nested(t.Status.Path, t.Status.Value), "status"); status.GetGeneration() != changed.GetGeneration() {
			t.Errorf("generation went from %d to %d with a change of status", changed.GetGeneration(), status.GetGeneration())
		}
	}
	if t.Controller == nil {
		return
	}
	live := t.finish(t.create(t.Controller.Live))
	changed = t.patch(live.GetName(), nested(t.Mutable.Path, t.Mutable.Values[0]))
	if observed := observedGeneration(changed); observed >= changed.GetGeneration() {
		t.Errorf("observedGeneration is %d in the answer to what made generation %d", observed, changed.GetGeneration())
	}
	done := t.finish(changed)
	for _, condition := range conditions(done) {
		if condition.ObservedGeneration != done.GetGeneration() {
			t.Errorf("condition %s has observedGeneration %d of a finished generation %d", condition.Type, condition.ObservedGeneration, done.GetGeneration())
		}
	}
}

func checkConflict(t *T) {
	first := t.create()
	stale := first.DeepCopy()
	t.update(first.GetName(), func(o *unstructured.Unstructured) { set(o, t.Mutable.Path, t.Mutable.Values[0]) })
	set(stale, t.Mutable.Path, t.Mutable.Values[1])
	_, err := t.objects().Update(t.Context(), stale, metav1.UpdateOptions{})
	t.refused("a stale PUT", err, metav1.StatusReasonConflict)
	stale.SetResourceVersion("")
	_, err = t.objects().Update(t.Context(), stale, metav1.UpdateOptions{})
	missing := []metav1.StatusReason{metav1.StatusReasonNotFound, metav1.StatusReasonConflict}
	absent := t.object(newName())
	absent.SetResourceVersion(first.GetResourceVersion())
	_, absentErr := t.objects().Update(t.Context(), absent, metav1.UpdateOptions{})
	t.refused("a PUT of what is not there", absentErr, missing...)
	if t.UnconditionalUpdate {
		t.must(err)
	} else {
		t.refused("a PUT without resourceVersion", err, metav1.StatusReasonInvalid)
		missing = append(missing, metav1.StatusReasonInvalid)
	}
	absent.SetResourceVersion("")
	_, err = t.objects().Update(t.Context(), absent, metav1.UpdateOptions{})
	t.refused("a PUT of what is not there, without resourceVersion", err, missing...)

	// Everybody who retries is counted.
	const writers = 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			backoff := retry.DefaultBackoff
			backoff.Steps = 100
			if err := retry.RetryOnConflict(backoff, func() error {
				object, err := t.objects().Get(t.Context(), first.GetName(), metav1.GetOptions{})
				if err != nil {
					return err
				}
				object.SetAnnotations(map[string]string{"count": object.GetAnnotations()["count"] + "+"})
				_, err = t.objects().Update(t.Context(), object, metav1.UpdateOptions{})
				return err
			}); err != nil {
				t.Errorf("a writer that retries: %v", err)
			}
		})
	}
	all.Wait()
	if got := len(t.get(first.GetName()).GetAnnotations()["count"]); got != writers {
		t.Errorf("%d of %d writes of rivals are left", got, writers)
	}
}

// permitted waits until the user's rights are known everywhere.
func (t *T) permitted(user string, do func() error) {
	t.eventually("the rights of "+user, func(context.Context) (bool, error) { return !apierrors.IsForbidden(do()), nil })
}
