package conformance

import (
	"fmt"
	"maps"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Description is what the checks have to know of a namespaced resource. What it leaves
// empty is not supported by the server: the conventions about it are not checked. Paths
// of fields have dots between their parts.
type Description struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
	Kind     string `json:"kind"`

	// Needs are objects that Object refers to. They are made before all checks.
	Needs []map[string]any `json:"needs"`
	// Object is valid, and has no name. No controller acts on it for long.
	Object map[string]any `json:"object"`
	// Mutable is a field of spec that clients may change.
	Mutable Choice `json:"mutable"`
	// Immutable is a field that nobody may change, and Advice a part of what the
	// refusal tells to do instead.
	Immutable *struct {
		Path, Advice string
		Value        any
	} `json:"immutable"`
	// Status is a text in status that the status subresource may write.
	Status *Value `json:"status"`
	// UnconditionalUpdate is true if a PUT may leave resourceVersion out.
	UnconditionalUpdate bool `json:"unconditionalUpdate"`
	// Defaults are the values of fields that Object leaves out.
	Defaults map[string]any `json:"defaults"`
	// Messages is a file beside the description. It has what the server says to all that
	// the checks have it refuse, a line each. Names, times and the like are replaced.
	Messages string `json:"messages"`
	// Invalid are merge patches that make Object invalid, by a name for what is wrong.
	Invalid map[string]map[string]any `json:"invalid"`
	// Refused are requests for what is below an object, by a name for what is wrong.
	// "${REVISION}" is the object's resourceVersion, and "${BEFORE}" the one before.
	Refused map[string]Request `json:"refused"`
	// Protected is an object that is not deleted before it is changed.
	Protected *Step `json:"protected"`
	// Warned are merge patches of an object that the server warns of, by a part of the
	// warning.
	Warned map[string]map[string]any `json:"warned"`

	// Controller says what a controller makes of the object.
	Controller *Controller `json:"controller"`
	// Quota is an object that keeps the user "${SUBJECT}" from having more than one object
	// of the resource, and Rate one that keeps them from creating more than one a day.
	Quota map[string]any `json:"quota"`
	Rate  map[string]any `json:"rate"`

	// Columns and WideColumns are those of tables.
	Columns     []string `json:"columns"`
	WideColumns []string `json:"wideColumns"`
	Singular    string   `json:"singular"`
	ShortNames  []string `json:"shortNames"`
	Categories  []string `json:"categories"`
	// FieldSelectors are the fields that can be selected by, beside metadata.name and
	// metadata.namespace, with their values in Object.
	FieldSelectors map[string]string `json:"fieldSelectors"`
	// Subresources are what users are granted apart from the object itself, by verb.
	Subresources map[string]string `json:"subresources"`
	// AuditAnnotation is in the audit log of refusals by Quota.
	AuditAnnotation string `json:"auditAnnotation"`
	// Audited are changes by the annotation that they have in the audit log.
	Audited map[string]Step `json:"audited"`
	// History is the subresource that lists the revisions of an object in items, each with
	// its auditID.
	History string `json:"history"`

	file string
}

// Step is a change of an object: what is merged into it at the creation, and then.
type Step struct {
	Object map[string]any `json:"object"`
	Patch  map[string]any `json:"patch"`
}

// Request is one for what is below an object: a POST of Body or, without one, a GET.
type Request struct {
	Path string         `json:"path"`
	Body map[string]any `json:"body"`
}

// Choice is a field and two values for it.
type Choice struct {
	Path   string    `json:"path"`
	Values [2]string `json:"values"`
}

// Value is a field and a value for it.
type Value struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// Controller is what a controller makes of an object.
type Controller struct {
	// Live is merged into Object for the controller to act on it.
	Live map[string]any `json:"live"`
	// Conditions are those of a finished object, beside Ready.
	Conditions []string `json:"conditions"`
	// Stalled is merged into Object for what can never be finished.
	Stalled map[string]any `json:"stalled"`
	// Namespace is the field with the namespace of what belongs to an object, and UIDLabel
	// the label there with the object's UID.
	Namespace string `json:"namespace"`
	UIDLabel  string `json:"uidLabel"`
	// Children are the resources there, as kubectl accepts them.
	Children []string `json:"children"`
}

// Load reads a description, with variables such as ${NAME} replaced.
func Load(file string, variables map[string]string) (*Description, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d := &Description{file: file}
	expanded := os.Expand(string(text), func(name string) string {
		if value, ok := variables[name]; ok {
			return value
		}
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return "${" + name + "}"
	})
	if err := yaml.UnmarshalStrict([]byte(expanded), d); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return d, nil
}

// GroupVersionResource is the resource.
func (d *Description) GroupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: d.Group, Version: d.Version, Resource: d.Resource}
}

// String is the resource's full name.
func (d *Description) String() string { return d.Resource + "." + d.Group }

// object returns a valid object, with the patches merged into it.
func (d *Description) object(name string, patches ...map[string]any) *unstructured.Unstructured {
	content := map[string]any{"apiVersion": d.Group + "/" + d.Version, "kind": d.Kind}
	merge(content, d.Object)
	merge(content, map[string]any{"metadata": map[string]any{"name": name}})
	for _, patch := range patches {
		merge(content, patch)
	}
	return &unstructured.Unstructured{Object: content}
}

// merge is a JSON merge patch of into, which shares nothing with patch afterwards.
func merge(into, patch map[string]any) {
	for key, value := range (&unstructured.Unstructured{Object: patch}).DeepCopy().Object {
		below, isMap := value.(map[string]any)
		there, _ := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && there != nil:
			there = maps.Clone(there)
			merge(there, below)
			into[key] = there
		default:
			into[key] = value
		}
	}
}
