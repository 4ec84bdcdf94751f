package conformance

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// conditions are those of an object.
func conditions(object *unstructured.Unstructured) []metav1.Condition {
	var found struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &found); err != nil {
		return nil
	}
	return found.Status.Conditions
}

func observedGeneration(object *unstructured.Unstructured) int64 {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	return observed
}

// finished reports whether the controller has done what the object asks for.
func finished(object *unstructured.Unstructured) bool {
	return observedGeneration(object) == object.GetGeneration() && meta.IsStatusConditionTrue(conditions(object), "Ready")
}

// live creates an object, and waits for its controller to have done all, if it has one.
func (t *T) live() *unstructured.Unstructured {
	if t.Controller == nil {
		return t.create()
	}
	return t.finish(t.create(t.Controller.Live))
}

// finish waits until the controller has done what the object asks for.
func (t *T) finish(object *unstructured.Unstructured) *unstructured.Unstructured {
	t.eventually(object.GetName()+" to be ready", func(ctx context.Context) (bool, error) {
		var err error
		object, err = t.objects().Get(ctx, object.GetName(), metav1.GetOptions{})
		return err == nil && finished(object), err
	})
	return object
}

// observed waits until the controller has seen what an object asks for.
func (t *T) observed(name string) *unstructured.Unstructured {
	var object *unstructured.Unstructured
	t.eventually(name+" to be observed", func(context.Context) (bool, error) {
		object = t.get(name)
		return observedGeneration(object) == object.GetGeneration(), nil
	})
	return object
}

var (
	pascalCase = regexp.MustCompile(`^[A-Z][a-z0-9]+([A-Z][a-z0-9]*)*$`)
	camelCase  = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
)

func checkConditions(t *T) {
	published := t.schema().at("status", "conditions")
	t.needs(published != nil, "conditions")
	keys, _ := published.content["x-kubernetes-list-map-keys"].([]any)
	if published.text("x-kubernetes-list-type") != "map" || len(keys) != 1 || keys[0] != "type" {
		t.Errorf("conditions are no map by type: %v", published.content)
	}
	required, _ := published.items().content["required"].([]any)
	for _, name := range []string{"type", "status", "reason", "message", "lastTransitionTime"} {
		if !slices.Contains(required, any(name)) {
			t.Errorf("%s of a condition is not required", name)
		}
	}
	created := t.create()
	if meta.FindStatusCondition(conditions(created), "Ready") == nil {
		t.Error("a new object has no condition Ready")
	}
	objects := []*unstructured.Unstructured{created}
	if t.Controller != nil {
		objects = append(objects, t.finish(t.create(t.Controller.Live)))
	}
	for _, object := range objects {
		for _, c := range conditions(object) {
			if !pascalCase.MatchString(c.Type) || !camelCase.MatchString(c.Reason) || c.LastTransitionTime.IsZero() {
				t.Errorf("condition %q has reason %q and lastTransitionTime %s", c.Type, c.Reason, c.LastTransitionTime)
			}
		}
	}
	for fault, faulty := range map[string][]any{
		"without a reason":    {map[string]any{"type": "Tested", "status": "True", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}},
		"with another status": {map[string]any{"type": "Tested", "status": "Maybe", "reason": "Tested", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}},
	} {
		t.refused("a condition "+fault, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			object := t.get(created.GetName())
			t.must(unstructured.SetNestedSlice(object.Object, faulty, "status", "conditions"))
			_, err := t.objects().UpdateStatus(t.Context(), object, metav1.UpdateOptions{})
			return err
		}), metav1.StatusReasonInvalid)
	}
}

func checkReady(t *T) {
	t.needs(t.Controller != nil, "a controller")
	done := t.finish(t.create(t.Controller.Live))
	for _, name := range t.Controller.Conditions {
		if !meta.IsStatusConditionTrue(conditions(done), name) {
			t.Errorf("%s is not True of an object that is Ready", name)
		}
	}
	// Whatever sub-condition is not True, Ready is not either.
	seen := false
	summedUp := func(object *unstructured.Unstructured) bool {
		for _, name := range t.Controller.Conditions {
			if condition := meta.FindStatusCondition(conditions(object), name); condition != nil && condition.Status != metav1.ConditionTrue {
				seen = true
				if meta.IsStatusConditionTrue(conditions(object), "Ready") {
					t.Errorf("Ready is True and %s is %s", name, condition.Status)
				}
			}
		}
		return finished(object)
	}
	created := t.create(t.Controller.Live)
	t.follow(created, summedUp)
	if !seen {
		t.Error("no sub-condition was seen on its way")
	}
	// Also of an object that was Ready before.
	before := t.get(created.GetName())
	t.patch(before.GetName(), nested(t.Mutable.Path, t.Mutable.Values[0]))
	t.follow(before, summedUp)
}

func checkNoPhase(t *T) {
	t.schema().fields(func(path string, _ *node) {
		if strings.HasPrefix(path, "status.") && strings.HasSuffix(path, ".phase") {
			t.Errorf("there is a field %s", path)
		}
	})
}

func checkKstatus(t *T) {
	t.needs(t.Controller != nil, "a controller")
	want := func(object *unstructured.Unstructured, when string, want status.Status) {
		if got := t.kstatus(object); got != want {
			t.Errorf("%s kstatus says %s, want %s", when, got, want)
		}
	}
	created := t.create(t.Controller.Live)
	want(created, "after the creation", status.InProgressStatus)
	t.follow(created, func(object *unstructured.Unstructured) bool {
		if computed := t.kstatus(object); computed != status.InProgressStatus && !finished(object) {
			t.Errorf("while the object is not ready kstatus says %s: %v", computed, object.Object["status"])
		}
		return finished(object)
	})
	done := t.get(created.GetName())
	want(done, "when all is done", status.CurrentStatus)
	want(t.patch(done.GetName(), nested(t.Mutable.Path, t.Mutable.Values[0])), "after a change of spec", status.InProgressStatus)
	t.finish(done)
	t.must(t.objects().Delete(t.Context(), done.GetName(), metav1.DeleteOptions{}))
	if deleting, err := t.objects().Get(t.Context(), done.GetName(), metav1.GetOptions{}); err == nil {
		want(deleting, "during the deletion", status.TerminatingStatus)
	}
	if t.Controller.Stalled != nil {
		stalled := t.create(t.Controller.Live, t.Controller.Stalled)
		t.eventually("kstatus to say Failed", func(context.Context) (bool, error) {
			return t.kstatus(t.get(stalled.GetName())) == status.FailedStatus, nil
		})
	}
}

func (t *T) kstatus(object *unstructured.Unstructured) status.Status {
	computed, err := status.Compute(object)
	t.must(err)
	return computed.Status
}

// follow calls see with every state of an object until it returns true.
func (t *T) follow(object *unstructured.Unstructured, see func(*unstructured.Unstructured) bool) {
	watcher, err := t.objects().Watch(t.Context(), metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", object.GetName()).String(), ResourceVersion: object.GetResourceVersion(),
	})
	t.must(err)
	defer watcher.Stop()
	timeout := time.After(patience)
	for {
		select {
		case event, open := <-watcher.ResultChan():
			next, ok := event.Object.(*unstructured.Unstructured)
			if !open || !ok || event.Type != watch.Modified {
				t.Fatalf("the watch of %s brings %s %v", object.GetName(), event.Type, event.Object)
			}
			if see(next) {
				return
			}
		case <-timeout:
			t.Fatalf("%s is not ready after %s: %v", object.GetName(), patience, t.get(object.GetName()).Object["status"])
		}
	}
}

func checkWait(t *T) {
	name := newName()
	reference := t.Resource + "." + t.Group + "/" + name
	timeout := fmt.Sprintf("--timeout=%s", patience)
	waitFor := func(what string) <-chan ended {
		done := make(chan ended, 1)
		go func() { done <- t.kubectl("", "wait", "--for="+what, reference, timeout) }()
		return done
	}
	ends := func(what string, done <-chan ended) {
		if e := <-done; e.code != 0 {
			t.Errorf("kubectl wait --for=%s: %s%s", what, e.stdout, e.stderr)
		}
	}
	created := waitFor("create")
	live := map[string]any{}
	if t.Controller != nil {
		live = t.Controller.Live
	}
	_, err := t.objects().Create(t.Context(), t.object(name, live), metav1.CreateOptions{})
	t.must(err)
	ends("create", created)
	if t.Controller != nil {
		ends("condition=Ready", waitFor("condition=Ready"))
		// What was ready before a change of spec is not ready now.
		changed := t.patch(name, nested(t.Mutable.Path, t.Mutable.Values[1]))
		ends("condition=Ready", waitFor("condition=Ready"))
		if now := t.get(name); observedGeneration(now) < changed.GetGeneration() {
			t.Errorf("kubectl wait has ended at observedGeneration %d of %d", observedGeneration(now), changed.GetGeneration())
		}
	}
	path := "jsonpath={." + t.Mutable.Path + "}=" + t.Mutable.Values[0]
	changed := waitFor(path)
	t.patch(name, nested(t.Mutable.Path, t.Mutable.Values[0]))
	ends(path, changed)
	deleted := waitFor("delete")
	t.must(t.objects().Delete(t.Context(), name, metav1.DeleteOptions{}))
	ends("delete", deleted)
}
