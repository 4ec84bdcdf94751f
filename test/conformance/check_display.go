package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func checkTables(t *T) {
	t.needs(len(t.Columns) > 0, "columns of its own")
	name := t.create().GetName()
	full := t.Resource + "." + t.Group
	header := func(args ...string) string {
		return strings.Join(strings.Fields(strings.Split(t.runs("", append([]string{"get", full}, args...)...), "\n")[0]), " ")
	}
	if got, want := header(), strings.ToUpper(strings.Join(t.Columns, " ")); got != want {
		t.Errorf("kubectl get prints %q, want %q", got, want)
	}
	if got, want := header("-o", "wide"), strings.ToUpper(strings.Join(append(t.Columns[:len(t.Columns):len(t.Columns)], t.WideColumns...), " ")); got != want {
		t.Errorf("kubectl get -o wide prints %q, want %q", got, want)
	}
	as := http.Header{"Accept": {"application/json;as=Table;v=v1;g=meta.k8s.io"}}
	var table metav1.Table
	t.must(json.Unmarshal(t.send(t.Admin, http.MethodGet, t.path()+"?includeObject=Metadata", as, nil).body, &table))
	for _, column := range table.ColumnDefinitions {
		if column.Description == "" || column.Type == "" {
			t.Errorf("column %+v is not described", column)
		}
	}
	if len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) || table.Rows[0].Cells[0] != name || table.ResourceVersion == "" {
		t.Errorf("the table is %+v", table)
	}
	watched := t.send(t.Admin, http.MethodGet, t.path()+"?watch=true&timeoutSeconds=1", as, nil)
	var event struct {
		Type   string
		Object metav1.Table
	}
	t.must(json.Unmarshal([]byte(strings.SplitN(string(watched.body), "\n", 2)[0]), &event))
	if event.Object.Kind != "Table" || len(event.Object.Rows) != 1 || len(event.Object.ColumnDefinitions) == 0 {
		t.Errorf("a watch of tables brings %s", watched.body)
	}
}

func checkNames(t *T) {
	described := t.discovered("")
	if t.Singular == "" || described.SingularName != t.Singular {
		t.Errorf("the singular name is %q, want %q", described.SingularName, t.Singular)
	}
	t.equal("short names", described.ShortNames, t.ShortNames)
	t.equal("categories", described.Categories, t.Categories)
	name := t.create().GetName()
	want := t.Singular + "." + t.Group + "/" + name
	for _, alias := range append([]string{t.Singular, t.Resource, t.Resource + "." + t.Group, t.Resource + "." + t.Version + "." + t.Group}, t.ShortNames...) {
		if got := strings.TrimSpace(t.runs("", "get", alias, name, "-o", "name")); got != want {
			t.Errorf("kubectl get %s prints %q, want %q", alias, got, want)
		}
	}
	for _, category := range t.Categories {
		t.contains(t.runs("", "get", category, "-o", "name"), want)
	}
	_, lists, err := t.core.Discovery().ServerGroupsAndResources()
	t.must(err)
	for _, list := range lists {
		for _, other := range list.APIResources {
			for _, short := range other.ShortNames {
				for _, ours := range t.ShortNames {
					if short == ours && (other.Name != t.Resource || !strings.HasPrefix(list.GroupVersion, t.Group+"/")) {
						t.Errorf("%s has the short name %s too", other.Name, short)
					}
				}
			}
		}
	}
}

func checkExplain(t *T) {
	schema := t.schema()
	if schema.text("description") == "" {
		t.Errorf("%s has no description", t.Kind)
	}
	for _, part := range []string{"spec", "status"} {
		if below := schema.at(part); below != nil && below.text("description") == "" {
			t.Errorf("%s has no description", part)
		}
	}
	schema.fields(func(path string, property *node) {
		if !strings.HasSuffix(path, "[]") && property.text("description") == "" {
			t.Errorf("%s has no description", path)
		}
	})
	tree := t.runs("", "explain", t.Resource+"."+t.Group+".spec", "--recursive")
	t.contains(tree, append(schema.at("spec").names(), "GROUP:", t.Group, "VERSION:", t.Version, "KIND:", t.Kind)...)
	schema.fields(func(path string, property *node) {
		if _, there := property.content["enum"]; there && strings.HasPrefix(path, "spec.") && !strings.Contains(path, "[]") {
			t.contains(t.runs("", "explain", t.Resource+"."+t.Group+"."+path), "ENUM:")
		}
	})
}

func checkList(t *T) {
	read := func() (list struct {
		Kind, APIVersion string
		Items            []map[string]any
		Metadata         metav1.ListMeta
	}, text string) {
		body := t.send(t.Admin, http.MethodGet, t.path(), nil, nil).body
		t.must(json.Unmarshal(body, &list))
		return list, string(body)
	}
	// An empty list has no items, and not none: from the storage, from a cache, in pages.
	for _, query := range []string{"?resourceVersion=0", "?limit=1", "?labelSelector=no%3Dsuch"} {
		body := string(t.send(t.Admin, http.MethodGet, t.path()+query, nil, nil).body)
		if !strings.Contains(body, `"items":[]`) {
			t.Errorf("an empty list of %s is %s", query, body)
		}
	}
	list, text := read()
	if list.Kind != t.Kind+"List" || list.APIVersion != t.Group+"/"+t.Version || list.Items == nil || list.Metadata.ResourceVersion == "" {
		t.Errorf("an empty list is %s", text)
	}
	name := t.create().GetName()
	list, text = read()
	if len(list.Items) != 1 {
		t.Fatalf("a list of one object is %s", text)
	}
	for _, item := range list.Items {
		// Items may leave to the list what they are.
		if kind, there := item["kind"]; there && kind != t.Kind {
			t.Errorf("an item is of kind %v", kind)
		}
	}
	t.contains(t.runs("", "get", t.Resource+"."+t.Group, "-o", "yaml"), "kind: "+t.Kind+"\n", "name: "+name)
	items, err := t.objects().List(t.Context(), metav1.ListOptions{})
	t.must(err)
	if items.Items[0].GetKind() != t.Kind {
		t.Errorf("a client reads an item of kind %s", items.Items[0].GetKind())
	}
}

func checkSelectors(t *T) {
	first, second := t.create().GetName(), t.create().GetName()
	selected := func(selector string) (names []string) {
		list, err := t.objects().List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		t.must(err)
		for _, item := range list.Items {
			names = append(names, item.GetName())
		}
		return names
	}
	both := []string{first, second}
	t.equal("by name", selected("metadata.name="+first), both[:1])
	t.equal("by another name", selected("metadata.name!="+first), both[1:])
	t.equal("by namespace", selected("metadata.namespace="+t.namespace()), both)
	supported := []string{"metadata.name", "metadata.namespace"}
	for field, value := range t.FieldSelectors {
		supported = append(supported, field)
		t.equal("by "+field, selected(field+"="+value), both)
		t.equal("by another "+field, selected(field+"!="+value), nil)
	}
	unknown := metav1.ListOptions{FieldSelector: "spec.nothing=a"}
	_, listErr := t.objects().List(t.Context(), unknown)
	_, watchErr := t.objects().Watch(t.Context(), unknown)
	for verb, err := range map[string]error{"listing": listErr, "watching": watchErr} {
		t.refused(verb+" by an unknown field", err, metav1.StatusReasonBadRequest)
		t.contains(fmt.Sprint(err), append(supported, "spec.nothing")...)
	}
}

func checkDescribe(t *T) {
	object := t.live()
	var events []eventsv1.Event
	if t.Controller != nil {
		t.eventually("events", func(context.Context) (bool, error) {
			events = t.events(object)
			return len(events) > 0, nil
		})
	}
	described := t.runs("", "describe", t.Resource+"."+t.Group, object.GetName())
	t.contains(described, object.GetName(), t.namespace(), t.Kind, "Events:", get(object, t.Mutable.Path))
	for _, c := range conditions(object) {
		t.contains(described, c.Type, c.Reason)
	}
	for _, event := range events {
		t.contains(described, event.Reason, event.Note)
	}
}

// versions are an object as each version of its group has it.
func (t *T) versions(name string) map[string]*unstructured.Unstructured {
	groups, err := t.core.Discovery().ServerGroups()
	t.must(err)
	versions := map[string]*unstructured.Unstructured{}
	for _, group := range groups.Groups {
		if group.Name != t.Group {
			continue
		}
		for _, version := range group.Versions {
			resource := t.GroupVersionResource()
			resource.Version = version.Version
			object, err := t.dynamic.Resource(resource).Namespace(t.namespace()).Get(t.Context(), name, metav1.GetOptions{})
			t.must(err)
			versions[version.Version] = object
		}
	}
	return versions
}
