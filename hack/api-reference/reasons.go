package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// outcomes are the functions that make the results of steps, and what those mean.
var outcomes = map[string]string{
	"done": "done", "waiting": "under way", "failed": "failed, and tried again", "stalled": "stalled: somebody has to do something",
}

// reason is one that the provisioner gives to conditions.
type reason struct{ name, outcome, message string }

// reasonsOf finds the reasons with a name of their own in the code of the provisioner:
// what makes results says their reason and their message.
func reasonsOf(folder string, api *doc.Package) ([]reason, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	constants := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		files = append(files, file)
		for _, decl := range file.Decls {
			if general, ok := decl.(*ast.GenDecl); ok && general.Tok == token.CONST {
				addConstants(constants, general)
			}
		}
	}
	for _, group := range api.Consts {
		addConstants(constants, group.Decl)
	}
	found := map[reason]bool{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if r, ok := reasonOf(call, constants); ok {
					found[r] = true
				}
			}
			return true
		})
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b reason) int {
		return strings.Compare(a.name+a.outcome+a.message, b.name+b.outcome+b.message)
	}), nil
}

func addConstants(constants map[string]string, decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		value := spec.(*ast.ValueSpec)
		for i, name := range value.Names {
			if i < len(value.Values) {
				if text := literal(value.Values[i]); text != "" {
					constants[name.Name] = text
				}
			}
		}
	}
}

// reasonOf reads a call that makes a result, or that paces a failure, which takes what
// was tried before the reason.
func reasonOf(call *ast.CallExpr, constants map[string]string) (reason, bool) {
	var name string
	args := call.Args
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		if name = f.Sel.Name; name != "failed" || len(args) < 4 {
			return reason{}, false
		}
		args = args[1:]
	}
	outcome, known := outcomes[name]
	if !known || len(args) < 2 {
		return reason{}, false
	}
	r := reason{name: text(args[0], constants), outcome: outcome, message: cmp.Or(text(args[1], constants), "…")}
	return r, r.name != ""
}

// verb is what fmt replaces.
var verb = regexp.MustCompile(`%[+#]?[a-z]`)

// text is what an expression says, as far as it is written down.
func text(expr ast.Expr, constants map[string]string) string {
	switch e := expr.(type) {
	case *ast.BasicLit:
		return literal(e)
	case *ast.Ident:
		return constants[e.Name]
	case *ast.SelectorExpr:
		return constants[e.Sel.Name]
	case *ast.BinaryExpr:
		return cmp.Or(text(e.X, constants), "…") + cmp.Or(text(e.Y, constants), "…")
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return verb.ReplaceAllString(text(e.Args[0], constants), "…")
		}
	}
	return ""
}

func writeReasons(out io.Writer, reasons []reason) {
	fmt.Fprint(out, "\n## Reasons\n\nThe condition of a step has the reason, and so has `Ready` while the step is not done.",
		"\n`Ready` itself also has `Pending` before the provisioner has seen the store, `Queued` while all",
		"\nof its workers are busy, `Selling`, `Hibernated`, `Suspended` and `Deleting`. What Kubernetes says",
		"\nof pods, claims, jobs and routes, such as `Unschedulable`, is passed on as it is.",
		"\n[Troubleshooting](../operations/troubleshooting.md) tells what helps.\n",
		"\n| reason | the step is | message |\n|---|---|---|\n")
	for _, r := range reasons {
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", r.name, r.outcome, cell(r.message))
	}
}
