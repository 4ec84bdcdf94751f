package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/test/internal/scan"
)

// names are those of the properties.
func (n *node) names() []string {
	properties, _ := n.content["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// walk calls visit for every field below spec and status, with its path.
func (n *node) walk(path string, visit func(path string, property *node)) {
	for _, name := range n.names() {
		property := n.at(name)
		below := path + "." + name
		visit(below, property)
		property.walk(below, visit)
		for items := property.items(); items != nil; items = items.items() {
			below += "[]"
			visit(below, items)
			items.walk(below, visit)
		}
	}
}

// fields calls visit for every field of spec and status, with its path.
func (n *node) fields(visit func(path string, property *node)) {
	for _, part := range []string{"spec", "status"} {
		if below := n.at(part); below != nil {
			below.walk(part, visit)
		}
	}
}

var (
	fieldName    = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	badName      = regexp.MustCompile(`(Timestamp|Secs?|Millis|Ms|Mins?|Hrs|Timeout|Interval|Duration|Delay)$|(Id|Url|Uid|Ip|Api)([A-Z]|$)`)
	secretName   = regexp.MustCompile(`(?i)(password|secret|token|privatekey|credential)`)
	secretReader = regexp.MustCompile(`(Ref|Name|Refs)$`)
)

func checkFieldNames(t *T) {
	t.schema().fields(func(path string, property *node) {
		name := path[strings.LastIndex(path, ".")+1:]
		if strings.HasSuffix(name, "[]") {
			return
		}
		if !fieldName.MatchString(name) || badName.MatchString(name) {
			t.Errorf("%s is not named as fields are", path)
		}
		if property.text("format") == "date-time" && !strings.HasSuffix(name, "Time") && name != "time" {
			t.Errorf("%s is a time and does not end in Time", path)
		}
		if property.text("type") == "boolean" && strings.HasPrefix(name, "is") {
			t.Errorf("%s begins with is", path)
		}
	})
}

func checkDefaults(t *T) {
	created := t.create()
	name := created.GetName()
	for path, want := range t.Defaults {
		if got := get(created, path); got != fmt.Sprint(want) {
			t.Errorf("%s is %q by default, want %q", path, got, want)
		}
		if published := t.schema().at(parts(path)...); published == nil {
			t.Errorf("there is no field %s", path)
		}
	}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		fields, _ := value.(map[string]any)
		list, isList := value.([]any)
		_, isDefault := t.Defaults[path]
		zero := value == "" || value == false || value == int64(0) || fields != nil && len(fields) == 0 || isList && len(list) == 0
		if value == nil || zero && !isDefault && get(t.object(name), path) == "" {
			t.Errorf("%s is there and empty", path)
		}
		for name, below := range fields {
			walk(path+"."+name, below)
		}
	}
	walk("spec", created.Object["spec"])
	// What says the defaults is the same, and what takes them away gets them back.
	replaced := t.update(name, func(o *unstructured.Unstructured) { o.Object["spec"] = t.object(name).Object["spec"] })
	if diff := cmp.Diff(created.Object["spec"], replaced.Object["spec"]); diff != "" {
		t.Errorf("a PUT of the first manifest changes (-before +after): %s", diff)
	}
	if replaced.GetGeneration() != created.GetGeneration() {
		t.Errorf("a PUT of the first manifest makes generation %d of %d", replaced.GetGeneration(), created.GetGeneration())
	}
}

// maxBytes bounds an object: all of them are in every list.
const maxBytes = 16 << 10

func checkSize(t *T) {
	object := t.live()
	rested := map[string]*unstructured.Unstructured{"an object": object}
	if t.Controller != nil && t.Controller.Stalled != nil {
		stalled := t.create(t.Controller.Live, t.Controller.Stalled)
		t.eventually("the controller to give up", func(context.Context) (bool, error) {
			stalled = t.get(stalled.GetName())
			return meta.IsStatusConditionTrue(conditions(stalled), "Stalled"), nil
		})
		rested["an object that is stalled"] = stalled
	}
	var all sync.WaitGroup
	for what, object := range rested {
		if size := len(encode(object.Object)); size > maxBytes {
			t.Errorf("%s has %d bytes, want at most %d", what, size, maxBytes)
		}
		watcher := t.watch(metav1.ListOptions{ResourceVersion: object.GetResourceVersion(), FieldSelector: "metadata.name=" + object.GetName()})
		all.Go(func() {
			if writes := count(watcher, 3*time.Second); writes > 1 { // What was under way may come to its end.
				t.Errorf("%s is written %d times while nothing happens", what, writes)
			}
		})
	}
	all.Wait()
}

// count is how many events there are in a span of time.
func count(watcher watch.Interface, span time.Duration) (events int) {
	for end := time.After(span); ; {
		select {
		case <-watcher.ResultChan():
			events++
		case <-end:
			return events
		}
	}
}

func checkSecrets(t *T) {
	t.schema().fields(func(path string, _ *node) {
		name := strings.TrimRight(path[strings.LastIndex(path, ".")+1:], "[]")
		if secretName.MatchString(name) && !secretReader.MatchString(name) {
			t.Errorf("%s may hold a secret", path)
		}
	})
	if t.Controller == nil || t.Controller.Namespace == "" {
		return
	}
	object := t.create(t.Controller.Live)
	told := map[string][]byte{}
	t.follow(object, func(seen *unstructured.Unstructured) bool {
		told["the object at "+seen.GetResourceVersion()] = encode(seen.Object)
		object = seen
		return finished(seen)
	})
	told["its events"] = encode(t.events(object))
	if t.History != "" {
		told["its history"] = t.send(t.Admin, http.MethodGet, t.path(object.GetName(), t.History), nil, nil).body
	}
	secrets, err := t.core.CoreV1().Secrets(get(object, t.Controller.Namespace)).List(t.Context(), metav1.ListOptions{})
	t.must(err)
	scanner := &scan.Scanner{}
	known := 0
	for _, secret := range secrets.Items {
		for key, value := range secret.Data {
			if len(value) >= scan.Shortest {
				scanner.Add(t, key+" of Secret "+secret.Name, value)
				known++
			}
		}
	}
	if known == 0 {
		t.Error("there are no secrets that could be told")
	}
	for where, text := range told {
		scanner.Scan(t, where, text)
	}
}

func checkRoundTrip(t *T) {
	// Whatever the text, it is read as it was written.
	for _, text := range append([]string{"<b>&amp;</b>", "{{ . }} ${HOME} %s `id`", "a: [b, #c] - *d", "花屋 · Цветы · 🌷", "1e3", "null", "true", "0x10"}, rand.String(60)) {
		name := t.create(nested(t.Mutable.Path, text)).GetName()
		if got := get(t.get(name), t.Mutable.Path); got != text {
			t.Errorf("%q is read as %q", text, got)
		}
	}
	created := t.create()
	name := created.GetName()
	if t.Controller != nil {
		created = t.observed(name)
	}
	if t.discovered("").StorageVersionHash == "" {
		t.Error("discovery has no hash of the storage version")
	}
	for _, media := range []string{"application/yaml", "application/cbor", "application/vnd.kubernetes.protobuf"} {
		a := t.send(t.Admin, http.MethodGet, t.path(name), http.Header{"Accept": {media}}, nil)
		if a.code == http.StatusNotAcceptable {
			continue
		}
		if a.code != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), media) {
			t.Errorf("reading %s: status %d, %s", media, a.code, a.header.Get("Content-Type"))
		}
		if media != "application/yaml" {
			continue
		}
		read := map[string]any{}
		t.must(yaml.Unmarshal(a.body, &read))
		if diff := cmp.Diff(jsonOf(t, created.Object), jsonOf(t, read)); diff != "" {
			t.Errorf("YAML is not the same (-JSON +YAML): %s", diff)
		}
	}
	written, err := yaml.Marshal(t.object(newName()).Object)
	t.must(err)
	if a := t.send(t.Admin, http.MethodPost, t.path(), http.Header{"Content-Type": {"application/yaml"}}, written); a.code != http.StatusCreated {
		t.Errorf("creating from YAML: status %d: %s", a.code, a.body)
	}
	for version, object := range t.versions(name) {
		if object.GetUID() != created.GetUID() {
			t.Errorf("%s has another object", version)
		}
		resource := t.GroupVersionResource()
		resource.Version = version
		back, err := t.dynamic.Resource(resource).Namespace(t.namespace()).Update(t.Context(), object, metav1.UpdateOptions{})
		t.must(err)
		if back.GetResourceVersion() != object.GetResourceVersion() {
			t.Errorf("writing back what %s reads has changed it", version)
		}
	}
}

// jsonOf is a value as JSON has it, whatever it was read from.
func jsonOf(t *T, value any) (plain any) {
	t.must(json.Unmarshal(encode(value), &plain))
	return plain
}
