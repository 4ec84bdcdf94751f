package conformance

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// node is the published schema of a value.
type node struct {
	all     map[string]map[string]any // by name
	content map[string]any
}

// schema is the one of the resource's objects.
func (t *T) schema() *node {
	a := t.send(t.Admin, http.MethodGet, "/openapi/v3/apis/"+t.Group+"/"+t.Version, nil, nil)
	var document struct {
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal(a.body, &document); err != nil || a.code != http.StatusOK {
		t.Fatalf("the schema cannot be read: status %d, %v", a.code, err)
	}
	for _, content := range document.Components.Schemas {
		kinds, _ := content["x-kubernetes-group-version-kind"].([]any)
		for _, kind := range kinds {
			if k, _ := kind.(map[string]any); k["group"] == t.Group && k["version"] == t.Version && k["kind"] == t.Kind {
				return &node{document.Components.Schemas, content}
			}
		}
	}
	t.Fatalf("no schema is of kind %s", t.Kind)
	return nil
}

// resolve follows a reference. What stands beside it, such as a description, stays.
func (n *node) resolve(content map[string]any) *node {
	if content == nil {
		return nil
	}
	reference, _ := content["$ref"].(string)
	if all, _ := content["allOf"].([]any); len(all) == 1 {
		only, _ := all[0].(map[string]any)
		reference, _ = only["$ref"].(string)
	}
	if reference == "" {
		return &node{n.all, content}
	}
	merged := maps.Clone(n.all[strings.TrimPrefix(reference, "#/components/schemas/")])
	maps.Copy(merged, content)
	return &node{n.all, merged}
}

// at is the schema of what is below, or nil.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		properties, _ := n.content["properties"].(map[string]any)
		property, _ := properties[name].(map[string]any)
		if n = n.resolve(property); n == nil {
			return nil
		}
	}
	return n
}

// items is the schema of a list's items, or of a map's values, or nil.
func (n *node) items() *node {
	for _, keyword := range []string{"items", "additionalProperties"} {
		if below, ok := n.content[keyword].(map[string]any); ok {
			return n.resolve(below)
		}
	}
	return nil
}

// text is a keyword's value.
func (n *node) text(keyword string) string {
	text, _ := n.content[keyword].(string)
	return text
}

// discovered returns what discovery tells of the resource, or of one of its
// subresources; nil if there is none.
func (t *T) discovered(subresource string) *metav1.APIResource {
	list, err := t.core.Discovery().ServerResourcesForGroupVersion(t.Group + "/" + t.Version)
	t.must(err)
	name := t.Resource
	if subresource != "" {
		name += "/" + subresource
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == name {
			return &list.APIResources[i]
		}
	}
	return nil
}
