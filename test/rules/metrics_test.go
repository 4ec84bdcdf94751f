package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every metric that a program makes, with its labels, has a row that says what it means,
// and every row is about a metric that there is.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(stores_[^`]+)` \\| [^|]+ \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	var made []string
	for _, folder := range []string{"cmd", "pkg"} {
		if err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err == nil {
				ast.Inspect(file, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						made = append(made, metric(call)...)
					}
					return true
				})
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(made)
	if len(made) == 0 {
		t.Fatal("no metrics were found")
	}
	if diff := cmp.Diff(made, documented); diff != "" {
		t.Errorf("docs/operations/metrics.md (-programs +page):\n%s", diff)
	}
}

// metric returns the name and labels of the metric that a call makes, if it makes one:
// the name is the first argument, or a field of the options that are.
func metric(call *ast.CallExpr) []string {
	if len(call.Args) == 0 {
		return nil
	}
	name := text(call.Args[0])
	ast.Inspect(call.Args[0], func(n ast.Node) bool {
		if field, ok := n.(*ast.KeyValueExpr); ok {
			if key, ok := field.Key.(*ast.Ident); ok && key.Name == "Name" {
				name = text(field.Value)
			}
		}
		_, inner := n.(*ast.CallExpr)
		return !inner
	})
	if !regexp.MustCompile("^stores_[a-z_]*[a-z]$").MatchString(name) {
		return nil
	}
	var labels []string
	for _, arg := range call.Args[1:] {
		if list, ok := arg.(*ast.CompositeLit); ok {
			for _, label := range list.Elts {
				labels = append(labels, text(label))
			}
		}
	}
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	return []string{name}
}

// text is what a string literal holds.
func text(expr ast.Expr) string {
	if literal, ok := expr.(*ast.BasicLit); ok {
		if value, err := strconv.Unquote(literal.Value); err == nil {
			return value
		}
	}
	return ""
}
