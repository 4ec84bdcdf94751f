package helm

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/utils/ptr"
)

// driftManager is the field manager of the applies that are only tried.
const driftManager = FieldManager + "-drift"

// driftTries is how often an object that changes meanwhile is compared.
const driftTries = 5

// Drift implements Interface. What an object would be is the API server's answer
// to applying the manifest without doing it, so that defaults, and other ways to
// write the same, are no drift, nor is what others have added.
func (s *SDK) Drift(ctx context.Context, namespace, name string, revision int) ([]Drift, error) {
	cfg, _, err := s.configuration(ctx, namespace)
	if err != nil {
		return nil, err
	}
	rel, err := read(cfg, namespace, name, revision)
	if err != nil {
		return nil, err
	}
	objects, err := cfg.KubeClient.Build(bytes.NewBufferString(rel.Manifest), false)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of release %s/%s revision %d: %w", namespace, name, revision, err)
	}
	var found []Drift
	for _, info := range objects {
		if info.Mapping.GroupVersionKind.Kind == "Job" {
			continue
		}
		drift, err := driftOf(info)
		if err != nil {
			return nil, fmt.Errorf("comparing %s %s/%s with its manifest: %w", info.Mapping.GroupVersionKind.Kind, namespace, info.Name, err)
		}
		if drift != nil {
			found = append(found, *drift)
		}
	}
	return found, nil
}

// driftOf is how the object differs from its manifest, or nil.
func driftOf(info *resource.Info) (*Drift, error) {
	kind := info.Mapping.GroupVersionKind
	drift := &Drift{Object: Object{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: info.Name}}
	helper := resource.NewHelper(info.Client, info.Mapping)
	for range driftTries {
		live, err := helper.Get(info.Namespace, info.Name)
		if apierrors.IsNotFound(err) {
			drift.Missing = true
			return drift, nil
		}
		if err != nil {
			return nil, err
		}
		if err := keepSize(info, live); err != nil {
			return nil, err
		}
		manifest, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
		if err != nil {
			return nil, err
		}
		wanted, err := helper.DryRun(true).WithFieldManager(driftManager).
			Patch(info.Namespace, info.Name, types.ApplyPatchType, manifest, &metav1.PatchOptions{Force: ptr.To(true)})
		if apierrors.IsInvalid(err) {
			// What cannot be changed, such as a claim's class, cannot be brought back.
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		before, err := content(live)
		if err != nil {
			return nil, err
		}
		after, err := content(wanted)
		if err != nil {
			return nil, err
		}
		drift.Field = firstDifference(before, after)
		if drift.Field == "" {
			return nil, nil
		}
		same, err := sameVersion(live, wanted)
		if err != nil {
			return nil, err
		}
		if same {
			return drift, nil
		}
	}
	return nil, fmt.Errorf("it changed %d times while it was compared", driftTries)
}

// sameVersion tells whether a and b are built on the same state of an object. If
// they are not, a controller wrote in between and their difference may be its work.
func sameVersion(a, b runtime.Object) (bool, error) {
	left, err := meta.Accessor(a)
	if err != nil {
		return false, err
	}
	right, err := meta.Accessor(b)
	if err != nil {
		return false, err
	}
	return left.GetResourceVersion() == right.GetResourceVersion(), nil
}

// content is what users and charts decide of an object.
func content(o runtime.Object) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	delete(m, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		unstructured.RemoveNestedField(m, "metadata", field)
	}
	return m, nil
}

// firstDifference is the path of the first field in which a and b differ, or
// empty. It tells no values: they are not for everybody.
func firstDifference(a, b map[string]any) string {
	keys := map[string]bool{}
	for _, m := range []map[string]any{a, b} {
		for key := range m {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if reflect.DeepEqual(a[key], b[key]) {
			continue
		}
		left, ok1 := a[key].(map[string]any)
		right, ok2 := b[key].(map[string]any)
		if ok1 && ok2 {
			return key + "." + firstDifference(left, right)
		}
		return key
	}
	return ""
}
