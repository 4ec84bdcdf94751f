package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func checkPatch(t *T) {
	// Something must be there for JSON Patch to replace.
	name := t.create(nested(t.Mutable.Path, t.Mutable.Values[1])).GetName()
	value := func(i int) string { return t.Mutable.Values[i%2] }
	pointer := "/" + strings.ReplaceAll(t.Mutable.Path, ".", "/")
	patched := func(what string, i int, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if got := get(t.get(name), t.Mutable.Path); got != value(i) {
			t.Errorf("%s makes %s %q, want %q", what, t.Mutable.Path, got, value(i))
		}
	}
	for i, kind := range []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType} {
		body := encode(nested(t.Mutable.Path, value(i)))
		if kind == types.JSONPatchType {
			body = encode([]any{map[string]any{"op": "replace", "path": pointer, "value": value(i)}})
		}
		_, err := t.objects().Patch(t.Context(), name, kind, body, metav1.PatchOptions{})
		patched(string(kind), i, err)
	}
	// A strategic merge patch deletes by its directive.
	t.patch(name, map[string]any{"metadata": map[string]any{"finalizers": []any{hold, "conformance.example.com/other"}}})
	strategic := []byte(`{"metadata":{"$deleteFromPrimitiveList/finalizers":["conformance.example.com/other"]}}`)
	after, err := t.objects().Patch(t.Context(), name, types.StrategicMergePatchType, strategic, metav1.PatchOptions{})
	if err != nil || slices.Contains(after.GetFinalizers(), "conformance.example.com/other") || !slices.Contains(after.GetFinalizers(), hold) {
		t.Errorf("deleting from a list by a strategic merge patch: %v", err)
	}
	t.release(name)
	t.checkMergeOfConditions()
	e := t.kubectl("", "patch", t.Resource+"."+t.Group, name, "-p", string(encode(nested(t.Mutable.Path, value(1)))))
	if e.code != 0 {
		t.Errorf("kubectl patch without a type: %s", e.stderr)
	}
	patched("kubectl patch without a type", 1, nil)
	apply := encode(t.object(name, nested(t.Mutable.Path, value(0))).Object)
	_, err = t.objects().Patch(t.Context(), name, types.ApplyPatchType, apply, metav1.PatchOptions{FieldManager: "conformance", Force: ptr.To(true)})
	patched("apply", 0, err)
	_, err = t.objects().Patch(t.Context(), newName(), types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	t.refused("what is not there", err, metav1.StatusReasonNotFound)
	unknown := t.send(t.Admin, http.MethodPatch, t.path(name), http.Header{"Content-Type": {"application/json"}}, []byte("{}"))
	t.refused("an unknown type", t.refusal(unknown), metav1.StatusReasonUnsupportedMediaType)
}

// checkMergeOfConditions patches one condition, and expects the others to stay.
func (t *T) checkMergeOfConditions() {
	if t.schema().at("status", "conditions") == nil {
		return
	}
	name := t.create().GetName()
	if t.Controller != nil {
		t.observed(name) // It writes conditions of its own no more.
	}
	one := encode(map[string]any{"status": map[string]any{"conditions": []any{map[string]any{
		"type": "Tested", "status": "True", "reason": "Tested", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}}}})
	patched, err := t.objects().Patch(t.Context(), name, types.StrategicMergePatchType, one, metav1.PatchOptions{}, "status")
	if err != nil || meta.FindStatusCondition(conditions(patched), "Tested") == nil || meta.FindStatusCondition(conditions(patched), "Ready") == nil {
		t.Errorf("a strategic merge patch of one condition: %v, and leaves %v", err, conditions(patched))
	}
}

// apply applies as a manager.
func (t *T) apply(manager string, force bool, object *unstructured.Unstructured, subresources ...string) (*unstructured.Unstructured, error) {
	return t.objects().Apply(t.Context(), object.GetName(), object, metav1.ApplyOptions{FieldManager: manager, Force: force}, subresources...)
}

func checkApply(t *T) {
	name := newName()
	wanted := func(i int) *unstructured.Unstructured {
		return t.object(name, nested(t.Mutable.Path, t.Mutable.Values[i]))
	}
	labelled := wanted(0)
	labelled.SetLabels(map[string]string{"by": "first"})
	_, err := t.apply("first", false, labelled)
	t.must(err)
	_, err = t.apply("second", false, wanted(1))
	t.refused("what another manages", err, metav1.StatusReasonConflict)
	t.contains(fmt.Sprint(err), `conflict with "first"`, "."+t.Mutable.Path)
	if _, err := t.apply("second", false, wanted(0)); err != nil {
		t.Errorf("applying what is there already: %v", err)
	}
	forced, err := t.apply("second", true, wanted(1))
	if err != nil || get(forced, t.Mutable.Path) != t.Mutable.Values[1] {
		t.Errorf("a forced apply: %v", err)
	}
	managers := map[string]bool{}
	for _, entry := range forced.GetManagedFields() {
		managers[entry.Manager] = true
		// The last part of the path, such as "f:displayName".
		if field := "f:" + parts(t.Mutable.Path)[len(parts(t.Mutable.Path))-1]; strings.Contains(entry.FieldsV1.GetRawString(), `"`+field+`"`) != (entry.Manager == "second") {
			t.Errorf("%s manages %s", entry.Manager, entry.FieldsV1.GetRawString())
		}
	}
	if !managers["first"] || !managers["second"] {
		t.Errorf("managers are %v", managers)
	}
	if t.schema().at("status", "conditions") == nil {
		return
	}
	if t.Controller != nil {
		t.observed(name) // It writes conditions of its own no more.
	}
	// Each condition has a manager of its own.
	condition := func(kind string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": t.Group + "/" + t.Version, "kind": t.Kind, "metadata": map[string]any{"name": name},
			"status": map[string]any{"conditions": []any{map[string]any{
				"type": kind, "status": "True", "reason": "Tested", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
			}}},
		}}
	}
	for _, kind := range []string{"First", "Second"} {
		if _, err := t.apply(strings.ToLower(kind), false, condition(kind), "status"); err != nil {
			t.Errorf("applying a condition: %v", err)
		}
	}
	var kinds []string
	for _, c := range conditions(t.get(name)) {
		kinds = append(kinds, c.Type)
	}
	if !slices.Contains(kinds, "First") || !slices.Contains(kinds, "Second") {
		t.Errorf("of two conditions by two managers there are %q", kinds)
	}
}

func checkDryRun(t *T) {
	t.needs(t.Dump != nil, "a dump of what is stored")
	kept := t.create().GetName()
	dump := t.settledDump()
	dry := []string{metav1.DryRunAll}
	created, err := t.objects().Create(t.Context(), t.object(newName()), metav1.CreateOptions{DryRun: dry})
	if err != nil || created.GetUID() == "" {
		t.Errorf("creating: %v", err)
	}
	generated := t.object("")
	generated.SetName("")
	generated.SetGenerateName("generated-")
	_, err = t.objects().Create(t.Context(), generated, metav1.CreateOptions{DryRun: dry})
	t.must(err)
	changed := t.get(kept)
	set(changed, t.Mutable.Path, t.Mutable.Values[0])
	updated, err := t.objects().Update(t.Context(), changed, metav1.UpdateOptions{DryRun: dry})
	if err != nil || get(updated, t.Mutable.Path) != t.Mutable.Values[0] {
		t.Errorf("updating: %v", err)
	}
	merge := encode(nested(t.Mutable.Path, t.Mutable.Values[0]))
	for _, kind := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
		_, err := t.objects().Patch(t.Context(), kept, kind, merge, metav1.PatchOptions{DryRun: dry})
		t.must(err)
	}
	for _, name := range []string{kept, newName()} {
		apply := encode(t.object(name, nested(t.Mutable.Path, t.Mutable.Values[0])).Object)
		_, err := t.objects().Patch(t.Context(), name, types.ApplyPatchType, apply, metav1.PatchOptions{FieldManager: "dry", Force: ptr.To(true), DryRun: dry})
		t.must(err)
	}
	if t.Status != nil {
		_, err := t.objects().Patch(t.Context(), kept, types.MergePatchType, encode(nested(t.Status.Path, t.Status.Value)), metav1.PatchOptions{DryRun: dry}, "status")
		t.must(err)
	}
	t.must(t.objects().Delete(t.Context(), kept, metav1.DeleteOptions{DryRun: dry}))
	t.must(t.objects().DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{}))
	after, err := t.Dump(t.Context())
	t.must(err)
	if !bytes.Equal(dump, after) {
		t.Errorf("what is stored has changed: %s", firstDifference(string(dump), string(after)))
	}
	if t.get(kept).GetDeletionTimestamp() != nil {
		t.Error("a dry run has deleted")
	}
}

// settledDump returns a dump once nothing changes any more: controllers may have to do
// with what was created.
func (t *T) settledDump() []byte {
	if t.Controller != nil {
		t.eventually("the controller to have seen all objects", func(ctx context.Context) (bool, error) {
			list, err := t.dynamic.Resource(t.GroupVersionResource()).List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			return !slices.ContainsFunc(list.Items, func(o unstructured.Unstructured) bool { return observedGeneration(&o) < o.GetGeneration() }), nil
		})
	}
	var last []byte
	t.eventually("what is stored to be still", func(ctx context.Context) (bool, error) {
		dump, err := t.Dump(ctx)
		still := err == nil && bytes.Equal(dump, last)
		last = dump
		return still, err
	})
	if len(last) == 0 {
		t.Fatal("the dump is empty")
	}
	return last
}

func firstDifference(before, after string) string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d was %.300q and is %.300q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines became %d", len(a), len(b))
}

func (t *T) manifest(name string, patches ...map[string]any) string {
	return string(encode(t.object(name, patches...).Object))
}

func checkDiff(t *T) {
	name := newName()
	t.runs(t.manifest(name), "apply", "-f", "-")
	before := t.get(name)
	invalid := nested(t.Mutable.Path, map[string]any{"no": "text"})
	for what, d := range map[string]struct {
		manifest string
		least    int
	}{
		"what is there": {t.manifest(name), 0},
		"a change":      {t.manifest(name, nested(t.Mutable.Path, t.Mutable.Values[0])), 1},
		"a creation":    {t.manifest(newName()), 1},
		"a fault":       {t.manifest(name, invalid), 2},
	} {
		if e := t.kubectl(d.manifest, "diff", "-f", "-"); min(e.code, 2) != d.least {
			t.Errorf("kubectl diff of %s: exit code %d, want %d: %s%s", what, e.code, d.least, e.stdout, e.stderr)
		}
	}
	if after := t.get(name); get(after, t.Mutable.Path) != get(before, t.Mutable.Path) {
		t.Error("kubectl diff has changed the object")
	}
}

// title is a field of spec with another case.
func title(path string) string {
	name := parts(path)[1]
	return "spec." + strings.ToUpper(name[:1]) + name[1:]
}

func checkFieldValidation(t *T) {
	object := t.object(newName())
	set(object, "spec.unknownField", true)
	unknown := encode(object.Object)
	// Names of fields are compared with their case.
	otherCase := t.object(newName())
	set(otherCase, title(t.Mutable.Path), t.Mutable.Values[0])
	// The same field twice, which no map can hold.
	duplicate := bytes.Replace(encode(t.object(newName()).Object), []byte(`"kind":`), []byte(`"kind":"Other","kind":`), 1)
	for what, f := range map[string]struct {
		body  []byte
		fault string
	}{
		"an unknown field":          {unknown, `unknown field "spec.unknownField"`},
		"a field with another case": {encode(otherCase.Object), `unknown field "` + title(t.Mutable.Path) + `"`},
		"a field twice":             {duplicate, `duplicate field "kind"`},
	} {
		body, fault := f.body, f.fault
		post := func(validation string) answer {
			return t.send(t.Admin, http.MethodPost, t.path()+"?dryRun=All&fieldValidation="+validation, nil, body)
		}
		strict := t.refusal(post(metav1.FieldValidationStrict))
		t.refused(what, strict, metav1.StatusReasonBadRequest)
		t.contains(strict.Error(), fault)
		warned := post(metav1.FieldValidationWarn)
		if warned.code != http.StatusCreated {
			t.Errorf("%s with Warn: status %d, want 201: %s", fault, warned.code, warned.body)
		}
		t.contains(warned.warnings(), "299 ", fault)
		if ignored := post(metav1.FieldValidationIgnore); ignored.code != http.StatusCreated || strings.Contains(ignored.warnings(), fault) {
			t.Errorf("%s with Ignore: status %d, warnings %s", fault, ignored.code, ignored.warnings())
		}
	}
	if e := t.kubectl(string(unknown), "create", "--validate=strict", "-f", "-"); e.code == 0 || !strings.Contains(e.stderr, "unknownField") {
		t.Errorf("kubectl create of an unknown field: exit code %d: %s", e.code, e.stderr)
	}
}
