package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestConformanceIsComplete fails if a new version of the API server brings a test that
// the tables of conformance_test.go do not call, or if an entry calls another test than
// its name says.
func TestConformanceIsComplete(t *testing.T) {
	called := calledTests(t)
	for _, name := range upstreamTests(t) {
		if !called[name] {
			t.Errorf("storagetesting.%s is not called", name)
		}
		delete(called, name)
	}
	for name := range called {
		t.Errorf("storagetesting.%s is called but does not exist", name)
	}
}

// upstreamTests returns the exported functions of the package storagetesting that take
// a test.
func upstreamTests(t *testing.T) []string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "k8s.io/apiserver/pkg/storage/testing").Output()
	if err != nil {
		t.Fatalf("finding the tests of the API server: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, file := range files {
		for _, decl := range parse(t, file).Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Run") && takesTest(f) {
				tests = append(tests, f.Name.Name)
			}
		}
	}
	if len(tests) == 0 {
		t.Fatalf("no test found in %s", dir)
	}
	return tests
}

// takesTest tells tests from benchmarks.
func takesTest(f *ast.FuncDecl) bool {
	return slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		kind := p.Type
		if pointer, ok := kind.(*ast.StarExpr); ok {
			kind = pointer.X
		}
		selector, ok := kind.(*ast.SelectorExpr)
		return ok && (selector.Sel.Name == "T" || selector.Sel.Name == "TB")
	})
}

// calledTests returns the tests that the tables call, having checked their names.
func calledTests(t *testing.T) map[string]bool {
	t.Helper()
	called := map[string]bool{}
	ast.Inspect(parse(t, "conformance_test.go"), func(n ast.Node) bool {
		entry, ok := n.(*ast.CompositeLit)
		if !ok || len(entry.Elts) != 2 {
			return true
		}
		label, ok := entry.Elts[0].(*ast.BasicLit)
		if !ok || label.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(label.Value)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(text, "/")
		if !uses(entry.Elts[1], name) {
			t.Errorf("the entry %q does not call storagetesting.%s", text, name)
		}
		called[name] = true
		return true
	})
	return called
}

func uses(n ast.Node, function string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == function {
			found = true
		}
		return true
	})
	return found
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
