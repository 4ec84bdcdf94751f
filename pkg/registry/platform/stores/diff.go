package stores

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// plainKey is a key that can stand in a path after a dot.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// lastApplied is what kubectl apply keeps for itself: the spec once more.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// view is what of a store, as a JSON object, its history tells about: what people
// and the provisioner write, and not what the server counts for itself.
func view(object map[string]any) map[string]any {
	shown := map[string]any{}
	for _, key := range []string{"spec", "status"} {
		if value, ok := object[key]; ok {
			shown[key] = value
		}
	}
	metadata := map[string]any{}
	from, _ := object["metadata"].(map[string]any)
	for _, key := range []string{"labels", "annotations", "finalizers", "deletionTimestamp"} {
		if value, ok := from[key]; ok {
			metadata[key] = value
		}
	}
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		annotations = maps.Clone(annotations)
		delete(annotations, lastApplied)
		metadata["annotations"] = annotations
	}
	shown["metadata"] = metadata
	return shown
}

// viewOf is the view of a store in the version that people see.
func viewOf(scheme *runtime.Scheme, store *platform.Store) (map[string]any, error) {
	served, err := scheme.ConvertToVersion(store, v1alpha1.SchemeGroupVersion)
	if err != nil {
		return nil, fmt.Errorf("converting store %q: %w", store.Name, err)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(served)
	if err != nil {
		return nil, fmt.Errorf("reading the fields of store %q: %w", store.Name, err)
	}
	return view(object), nil
}

// changes lists every field that differs between two JSON objects, by path in
// alphabetical order.
func changes(from, to map[string]any) []platform.FieldChange {
	return objectChanges("", from, to)
}

func objectChanges(path string, from, to map[string]any) []platform.FieldChange {
	keys := maps.Clone(from)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, to)
	var found []platform.FieldChange
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		before, was := from[key]
		after, is := to[key]
		found = append(found, valueChanges(join(path, key), before, was, after, is)...)
	}
	return found
}

// valueChanges lists what differs in one field, going into objects and into lists
// whose items have names.
func valueChanges(path string, before any, was bool, after any, is bool) []platform.FieldChange {
	if was && is && reflect.DeepEqual(before, after) {
		return nil
	}
	oldObject, wasObject := before.(map[string]any)
	newObject, isObject := after.(map[string]any)
	if (wasObject || !was) && (isObject || !is) && len(oldObject)+len(newObject) > 0 {
		return objectChanges(path, oldObject, newObject)
	}
	oldItems, wasNamed := namedItems(before)
	newItems, isNamed := namedItems(after)
	if (wasNamed || !was) && (isNamed || !is) {
		return itemChanges(path, oldItems, newItems)
	}
	change := platform.FieldChange{Path: path}
	if was {
		change.From = text(before)
	}
	if is {
		change.To = text(after)
	}
	return []platform.FieldChange{change}
}

func itemChanges(path string, from, to map[string]any) []platform.FieldChange {
	names := maps.Clone(from)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, to)
	var found []platform.FieldChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, was := from[name]
		after, is := to[name]
		found = append(found, valueChanges(path+"["+name+"]", before, was, after, is)...)
	}
	return found
}

// namedItems returns the items of a list by their type or name. The second result
// is false for what is no list of such, each of its own.
func namedItems(value any) (map[string]any, bool) {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return nil, false
	}
	items := map[string]any{}
	for _, item := range list {
		object, _ := item.(map[string]any)
		name, ok := object["type"].(string)
		if !ok {
			name, ok = object["name"].(string)
		}
		if _, twice := items[name]; !ok || twice {
			return nil, false
		}
		items[name] = item
	}
	return items, true
}

func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// text is a value as people read it: text as it is, everything else as JSON.
func text(value any) *string {
	if s, ok := value.(string); ok {
		return &s
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		encoded = fmt.Append(nil, value) // came from JSON
	}
	s := string(encoded)
	return &s
}
