package main

import (
	"fmt"
	"go/ast"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"

	"platform.dev/stores/pkg/generated/openapi"
)

// The reference has every field and every value that the server publishes.
func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := write(&out, filepath.Join("..", "..")); err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(strings.ReplaceAll(out.String(), "\n### ", "\n## "), "\n## ") {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	fields := 0
	for name, definition := range openapi.GetOpenAPIDefinitions(func(string) spec.Ref { return spec.Ref{} }) {
		kind, ours := strings.CutPrefix(name, "dev.platform.v1alpha1.")
		if !ours || strings.HasSuffix(kind, "List") {
			continue
		}
		for field, schema := range definition.Schema.Properties {
			if field == "apiVersion" || field == "kind" {
				continue
			}
			fields++
			if !strings.Contains(sections[kind], "| `"+field+"` | ") {
				t.Errorf("%s has no field %s", kind, field)
			}
			for _, value := range schema.Enum {
				if !strings.Contains(out.String(), fmt.Sprintf("| `%s` | ", value)) {
					t.Errorf("%s.%s has no value %s", kind, field, value)
				}
			}
		}
	}
	if fields < 150 {
		t.Errorf("only %d fields are published", fields)
	}
	if strings.Contains(out.String(), "|  |") || strings.Contains(out.String(), "` |  ") {
		t.Error("a cell is empty")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	api, err := read(filepath.Join("..", "..", "pkg", "apis", "platform", "v1alpha1"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := reference{out: &out, types: typesOf(api), written: map[string]bool{}}
	for _, kind := range []string{"Store", "Engine"} {
		if err := r.writeType(kind, "##"); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"a name":    "| `engine` | string | Names the Engine, the kind of shop software, that the store runs, such as \"medusa\". `kubectl get engines` lists what the cluster offers. It cannot be changed: to move to another engine create another store. *required; cannot be changed; at most 63 characters.* |",
		"a default": "*default `Running`.*",
		"a range":   "*default `200`; at least 100; at most 599.*",
		"a list":    "| `conditions` | list of Condition |",
		"a map":     "*no two with the same `name`; at most 32 items.*",
		"a value":   "| `Hibernated` | A shop that keeps its data and runs no pods. |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: the reference has no %q", name, want)
		}
	}
}

// A tag that nobody has words for would be a limit that the reference does not tell.
func TestUnknownTags(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{"k8s:maxLength=3": "at most 3 characters", "k8s:optional": "", "k8s:maxBytes=3": "unknown"} {
		texts, err := limits(&ast.Field{Doc: &ast.CommentGroup{List: []*ast.Comment{{Text: "// text"}, {Text: "// +" + tag}}}})
		if got := strings.Join(texts, "; "); (err != nil) != (want == "unknown") || err == nil && got != want {
			t.Errorf("tag %s reads %q (error %v), want %q", tag, got, err, want)
		}
	}
}
