package conformance

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// hold is a finalizer that nobody removes but the checks.
const hold = "conformance.example.com/hold"

func (t *T) held(patches ...map[string]any) *unstructured.Unstructured {
	return t.create(append(patches, map[string]any{"metadata": map[string]any{"finalizers": []any{hold}}})...)
}

func (t *T) release(name string) {
	t.update(name, func(o *unstructured.Unstructured) {
		o.SetFinalizers(slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == hold }))
	})
}

func checkDelete(t *T) {
	created := t.held()
	name := created.GetName()
	remove := func(options metav1.DeleteOptions) error { return t.objects().Delete(t.Context(), name, options) }
	for what, preconditions := range map[string]metav1.Preconditions{
		"UID":             {UID: ptr.To(types.UID("another"))},
		"resourceVersion": {ResourceVersion: ptr.To("1")},
	} {
		t.refused("another "+what, remove(metav1.DeleteOptions{Preconditions: &preconditions}), metav1.StatusReasonConflict)
	}
	sideways := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletionPropagation("Sideways"))}
	t.refused("an unknown propagationPolicy", remove(sideways), metav1.StatusReasonInvalid)
	answered := t.send(t.Admin, http.MethodDelete, t.path(name), nil,
		encode(metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(created.GetUID())}, GracePeriodSeconds: ptr.To[int64](0)}))
	var body unstructured.Unstructured
	if err := json.Unmarshal(answered.body, &body); err != nil || (answered.code != http.StatusOK && answered.code != http.StatusAccepted) || body.GetDeletionTimestamp() == nil {
		t.Errorf("deleting what a finalizer holds: status %d, %v, want 200 or 202 with the object: %.500s", answered.code, err, answered.body)
	}
	deleting := t.get(name)
	if deleting.GetDeletionTimestamp() == nil || deleting.GetDeletionGracePeriodSeconds() == nil {
		t.Errorf("what is deleted has no deletionTimestamp or deletionGracePeriodSeconds: %v", deleting.Object["metadata"])
	}
	if created.GetGeneration() > 0 && deleting.GetGeneration() <= created.GetGeneration() {
		t.Errorf("generation went from %d to %d with the deletion", created.GetGeneration(), deleting.GetGeneration())
	}
	t.must(remove(metav1.DeleteOptions{}))
	revived := t.update(name, func(o *unstructured.Unstructured) { o.SetDeletionTimestamp(nil) })
	if !revived.GetDeletionTimestamp().Equal(deleting.GetDeletionTimestamp()) {
		t.Errorf("deletionTimestamp went from %v to %v", deleting.GetDeletionTimestamp(), revived.GetDeletionTimestamp())
	}
	late := t.get(name)
	late.SetFinalizers(append(late.GetFinalizers(), "conformance.example.com/late"))
	_, err := t.objects().Update(t.Context(), late, metav1.UpdateOptions{})
	t.refused("a finalizer that comes late", err, metav1.StatusReasonInvalid, metav1.StatusReasonForbidden)
	t.release(name)
	t.gone(name)
	t.refused("what is not there", remove(metav1.DeleteOptions{}), metav1.StatusReasonNotFound)
	if t.Protected != nil {
		t.checkProtection()
	}

	for policy, finalizer := range map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationBackground: "", metav1.DeletePropagationOrphan: metav1.FinalizerOrphanDependents,
		metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents,
	} {
		object := t.held()
		answered := t.send(t.Admin, http.MethodDelete, t.path(object.GetName()), nil, encode(metav1.DeleteOptions{PropagationPolicy: &policy}))
		var body unstructured.Unstructured
		t.must(json.Unmarshal(answered.body, &body))
		if finalizer != "" && !slices.Contains(body.GetFinalizers(), finalizer) {
			t.Errorf("deleting with %s: status %d and finalizers %v, want %s", policy, answered.code, body.GetFinalizers(), finalizer)
		}
		t.release(object.GetName())
		t.gone(object.GetName()) // The garbage collector removes its finalizer.
	}
}

// checkProtection deletes what is protected, alone and with all others.
func (t *T) checkProtection() {
	name := t.create(t.Protected.Object).GetName()
	t.refused("what is protected", t.objects().Delete(t.Context(), name, metav1.DeleteOptions{}), metav1.StatusReasonForbidden)
	all := t.objects().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	t.refused("what is protected, in a collection", all, metav1.StatusReasonForbidden)
	if t.get(name).GetDeletionTimestamp() != nil {
		t.Error("what is protected is being deleted")
	}
	t.patch(name, t.Protected.Patch)
	t.must(t.objects().Delete(t.Context(), name, metav1.DeleteOptions{}))
}

func checkDeleteCollection(t *T) {
	tier := func(value string) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{"tier": value}}}
	}
	var gold []string
	for range 2 {
		gold = append(gold, t.held(tier("gold")).GetName())
	}
	iron := t.held(tier("iron")).GetName()
	deleting := func() (names []string) {
		list, err := t.objects().List(t.Context(), metav1.ListOptions{})
		t.must(err)
		for _, item := range list.Items {
			if item.GetDeletionTimestamp() != nil {
				names = append(names, item.GetName())
			}
		}
		return names
	}
	selected := metav1.ListOptions{LabelSelector: "tier=gold"}
	t.must(t.objects().DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, selected))
	t.equal("deleted by a dry run", deleting(), nil)
	t.must(t.objects().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "tier=gold", FieldSelector: "metadata.name=" + gold[0]}))
	t.equal("deleted by both selectors", deleting(), gold[:1])
	t.must(t.objects().DeleteCollection(t.Context(), metav1.DeleteOptions{}, selected))
	t.equal("deleted by a label", deleting(), gold)
	for _, name := range gold {
		t.release(name)
	}
	t.eventually("the selected to be gone", func(ctx context.Context) (bool, error) {
		list, err := t.objects().List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1 && list.Items[0].GetName() == iron, err
	})
	// kubectl deletes one by one what it has selected.
	t.runs("", "delete", t.Resource+"."+t.Group, "-l", "tier=gold", "--wait=false")
	t.equal("deleted by kubectl, by the label of none", deleting(), nil)
	t.runs("", "delete", t.Resource+"."+t.Group, "-l", "tier=iron", "--wait=false")
	t.equal("deleted by kubectl", deleting(), []string{iron})
	t.release(iron)
	t.gone(iron)
}
