package conformance

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// children are the objects that a controller has made of one, which is finished.
func (t *T) children(object *unstructured.Unstructured) (namespace *corev1.Namespace, objects []unstructured.Unstructured) {
	name := get(object, t.Controller.Namespace)
	namespace, err := t.core.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	t.must(err)
	var list unstructured.UnstructuredList
	t.must(json.Unmarshal([]byte(t.runs("", "get", strings.Join(t.Controller.Children, ","), "-n", name, "-o", "json")), &list))
	for _, item := range list.Items {
		// What the cluster itself puts into every namespace, and Helm's record of a release.
		if item.GetName() != "kube-root-ca.crt" && item.GetName() != "default" && get(&item, "type") != "helm.sh/release.v1" {
			objects = append(objects, item)
		}
	}
	// What is owned from elsewhere is not seen: the garbage collector has taken it.
	kinds := map[string]bool{}
	for _, object := range objects {
		kinds[object.GetKind()] = true
	}
	if len(kinds) != len(t.Controller.Children) {
		t.Errorf("of the children %q only %q are there", t.Controller.Children, slices.Sorted(maps.Keys(kinds)))
	}
	return namespace, objects
}

func checkLabels(t *T) {
	bad := t.object(newName())
	bad.SetLabels(map[string]string{"a b": "c"})
	_, err := t.objects().Create(t.Context(), bad, metav1.CreateOptions{})
	t.refused("a label that is none", err, metav1.StatusReasonInvalid)
	t.needs(t.Controller != nil && len(t.Controller.Children) > 0, "children")
	namespace, objects := t.children(t.finish(t.create(t.Controller.Live)))
	require := func(what string, labels map[string]string) {
		if labels["app.kubernetes.io/managed-by"] == "" {
			t.Errorf("%s has no label app.kubernetes.io/managed-by: %v", what, labels)
		}
	}
	require("namespace", namespace.Labels)
	for _, object := range objects {
		require(object.GetKind()+" "+object.GetName(), object.GetLabels())
	}
}

func checkOwners(t *T) {
	t.needs(t.Controller != nil && len(t.Controller.Children) > 0, "children")
	object := t.finish(t.create(t.Controller.Live))
	namespace, objects := t.children(object)
	if got := namespace.Labels[t.Controller.UIDLabel]; got != string(object.GetUID()) {
		t.Errorf("the namespace of %s has label %s=%q", object.GetUID(), t.Controller.UIDLabel, got)
	}
	there := map[string]bool{}
	for _, child := range objects {
		there[string(child.GetUID())] = true
	}
	if len(namespace.OwnerReferences) > 0 {
		t.Errorf("a namespace has owners: %v", namespace.OwnerReferences)
	}
	for _, child := range objects {
		for _, owner := range child.GetOwnerReferences() {
			if !there[string(owner.UID)] {
				t.Errorf("%s %s is owned by %s %s, which is not in its namespace", child.GetKind(), child.GetName(), owner.Kind, owner.Name)
			}
		}
	}
}

// events are those that regard an object.
func (t *T) events(object *unstructured.Unstructured) (found []eventsv1.Event) {
	list, err := t.core.EventsV1().Events(object.GetNamespace()).List(t.Context(), metav1.ListOptions{})
	t.must(err)
	for _, event := range list.Items {
		if event.Regarding.UID == object.GetUID() {
			found = append(found, event)
		}
	}
	return found
}

func checkEvents(t *T) {
	t.needs(t.Controller != nil, "a controller")
	done := t.finish(t.create(t.Controller.Live))
	var events []eventsv1.Event
	t.eventually("events", func(context.Context) (bool, error) {
		events = t.events(done)
		return len(events) > 0, nil
	})
	told := map[string]bool{}
	for _, event := range events {
		if event.Regarding.Kind != t.Kind || event.Regarding.Name != done.GetName() || event.Regarding.APIVersion != t.Group+"/"+t.Version {
			t.Errorf("an event regards %+v", event.Regarding)
		}
		if !camelCase.MatchString(event.Reason) || !camelCase.MatchString(event.Action) || event.ReportingController == "" || event.ReportingInstance == "" {
			t.Errorf("an event has reason %q and action %q, reported by %q of %q", event.Reason, event.Action, event.ReportingInstance, event.ReportingController)
		}
		if event.Note == "" || len(event.Note) > 1024 {
			t.Errorf("the note of event %s has %d bytes", event.Reason, len(event.Note))
		}
		// Reporters may count in an event how often they tell it.
		said := event.Reason + event.Note
		if told[said] || event.Series != nil || event.DeprecatedCount > 1 {
			t.Errorf("event %s is told more than once: %s", event.Reason, event.Note)
		}
		told[said] = true
	}
	if t.Controller.Stalled == nil {
		return
	}
	// What events warn of is in the status too.
	stalled := t.create(t.Controller.Live, t.Controller.Stalled)
	t.eventually("warnings that the status tells too", func(context.Context) (bool, error) {
		warnings := slices.DeleteFunc(t.events(stalled), func(e eventsv1.Event) bool { return e.Type != corev1.EventTypeWarning })
		status := t.get(stalled.GetName()).Object["status"]
		untold := func(e eventsv1.Event) bool { return !tells(status, e.Note) }
		return len(warnings) > 0 && !slices.ContainsFunc(warnings, untold), nil
	})
}

// tells reports whether a text is in one of the texts of a value.
func tells(value any, text string) bool {
	switch v := value.(type) {
	case string:
		return strings.Contains(v, text)
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return tells(item, text) })
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(item any) bool { return tells(item, text) })
	}
	return false
}

func checkNamespaceDeletion(t *T) {
	object := t.live()
	held := t.held()
	namespaces := t.core.CoreV1().Namespaces()
	t.must(namespaces.Delete(t.Context(), t.namespace(), metav1.DeleteOptions{}))
	t.gone(object.GetName())
	if t.get(held.GetName()).GetDeletionTimestamp() == nil {
		t.Error("an object is not being deleted with its namespace")
	}
	if _, err := namespaces.Get(t.Context(), t.namespace(), metav1.GetOptions{}); err != nil {
		t.Errorf("the namespace is gone before what is in it: %v", err)
	}
	_, err := t.objects().Create(t.Context(), t.object(newName()), metav1.CreateOptions{})
	t.refused("creating in a namespace that is being deleted", err, metav1.StatusReasonForbidden)
	t.release(held.GetName())
	gone := []string{t.namespace()}
	if t.Controller != nil && t.Controller.Namespace != "" {
		gone = append(gone, get(object, t.Controller.Namespace))
	}
	for _, name := range gone {
		t.eventually("namespace "+name+" to be gone", func(ctx context.Context) (bool, error) {
			_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), nil
		})
	}
}
