package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	helm "helm.sh/helm/v3/pkg/engine"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apis/platform/validation"
	"platform.dev/stores/pkg/engine"
)

// starters are the ways to start a program, by package and name.
var starters = map[string][]string{
	"os":                    {"StartProcess"},
	"syscall":               {"Exec", "ForkExec", "StartProcess"},
	"golang.org/x/sys/unix": {"Exec", "ForkExec"},
}

// What runs in a cluster starts no program, so nothing that a user writes can
// become a part of a command line. postgrestest starts PostgreSQL for tests and is
// in no program.
func TestNeverAgain09NoProgramStartsAnother(t *testing.T) {
	files := 0
	for _, folder := range []string{"cmd", "pkg", "charts", "dashboard"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && slices.Contains([]string{"node_modules", "postgrestest"}, entry.Name()):
				return fs.SkipDir
			case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			files++
			return checkStarts(t, path)
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if files < 50 {
		t.Errorf("looked at %d files only", files)
	}
}

func checkStarts(t *testing.T, path string) error {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	names := map[string]string{} // of packages in this file
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		if imported == "os/exec" {
			t.Errorf("%s imports os/exec", path)
		}
		names[filepath.Base(imported)] = imported
		if spec.Name != nil {
			names[spec.Name.Name] = imported
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok && slices.Contains(starters[names[name.Name]], selector.Sel.Name) {
				t.Errorf("%s uses %s.%s", path, names[name.Name], selector.Sel.Name)
			}
		}
		return true
	})
	return nil
}

// hostile are words of shells, YAML, templates and Helm's own --set.
var hostile = []string{
	"$(id)", "`id`", ";", "|", "&&", ">", "<", "'", `"`, `\`, "${HOME}", "*", "?", "#", " # x", ": ", "- ", "|-", "!!binary ", "&a ", "*a",
	"{{ .Values }}", "{{", "}}", "{a,b}", "[0]", "a=b", ",", "%s", "yes", "null", "~", "1e3", "0x10", "---", "...", "--set", "ü", "花", "\u2028", "'\"'",
}

// Titles with whatever characters arrive in the chart's objects byte by byte, and
// no such thing is accepted as a name.
func TestNeverAgain09TitlesArriveAsWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same titles every time
	titles := slices.Clone(hostile)
	for range 300 {
		var title strings.Builder
		for range 1 + random.IntN(6) {
			title.WriteString(hostile[random.IntN(len(hostile))])
		}
		titles = append(titles, title.String())
	}
	accepted := 0
	for _, title := range titles {
		store := &platform.Store{ObjectMeta: metav1.ObjectMeta{Name: title, Namespace: "default"}, Spec: platform.StoreSpec{DisplayName: title}}
		refused := map[string]bool{}
		for _, problem := range validation.ValidateStore(store) {
			refused[problem.Field] = true
		}
		if !refused["metadata.name"] && strings.ContainsAny(title, "$`;|&><'\"\\{}*?#:!,%[]= ~_") {
			t.Errorf("%q is accepted as a name", title)
		}
		if refused["spec.displayName"] {
			continue
		}
		accepted++
		if !slices.Contains(renderedStrings(t, title), title) {
			t.Errorf("title %q does not arrive as it was written", title)
		}
	}
	if accepted < 200 {
		t.Errorf("only %d titles are accepted", accepted)
	}
}

// renderedStrings are all strings of the objects of a store's chart.
func renderedStrings(t *testing.T, title string) []string {
	t.Helper()
	chart, err := loader.LoadDir(filepath.Join(root, "charts", "medusa"))
	if err != nil {
		t.Fatal(err)
	}
	offered := &v1alpha1.Engine{Spec: v1alpha1.EngineSpec{
		DefaultVersion: "1", Versions: []v1alpha1.EngineVersion{{Name: "1"}},
		DefaultPlan: "p", Plans: []v1alpha1.EnginePlan{{Name: "p"}},
		Mappings: []v1alpha1.ValueMapping{{Value: "store.title", From: "DisplayName"}},
	}}
	given, err := engine.Values(offered, &v1alpha1.Store{Spec: v1alpha1.StoreSpec{DisplayName: title}}, engine.Platform{})
	if err != nil {
		t.Fatal(err)
	}
	given["existingSecret"] = "store-credentials"
	values, err := chartutil.ToRenderValues(chart, given, chartutil.ReleaseOptions{Name: "store", Namespace: "store", IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := helm.Render(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for path, text := range files {
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
		for {
			var document any
			if decoder.Decode(&document) != nil {
				break
			}
			found = append(found, stringsIn(document)...)
		}
	}
	return found
}

func stringsIn(value any) []string {
	var found []string
	switch value := value.(type) {
	case string:
		found = append(found, value)
	case []any:
		for _, element := range value {
			found = append(found, stringsIn(element)...)
		}
	case map[string]any:
		for _, element := range value {
			found = append(found, stringsIn(element)...)
		}
	}
	return found
}
