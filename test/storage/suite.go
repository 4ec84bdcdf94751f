package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// suite is what the API server tests of a storage.
type suite struct {
	functions []string // of package storagetesting
	// cacherTests are the tests of the watch cache that call a function.
	cacherTests map[string][]string
	// notForCaches are the cases that the functions leave out for a cache.
	notForCaches []string
}

// parseSuite reads the source of k8s.io/apiserver.
func parseSuite(upstream string) (*suite, error) {
	s := &suite{cacherTests: map[string][]string{}}
	files, err := parseDir(filepath.Join(upstream, "pkg/storage/testing"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		for _, f := range functions(file) {
			if strings.HasPrefix(f.Name.Name, "Run") && !strings.HasPrefix(f.Name.Name, "RunBenchmark") {
				s.functions = append(s.functions, f.Name.Name)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name := exemptCase(n); name != "" {
				s.notForCaches = append(s.notForCaches, name)
			}
			return true
		})
	}
	slices.Sort(s.functions)
	if files, err = parseDir(filepath.Join(upstream, cacherDir)); err != nil {
		return nil, err
	}
	for _, file := range files {
		for _, f := range functions(file) {
			if strings.HasPrefix(f.Name.Name, "Test") {
				s.addCacherTest(f)
			}
		}
	}
	if len(s.functions) == 0 || len(s.cacherTests) == 0 {
		return nil, fmt.Errorf("%d functions, of which %d are for the watch cache", len(s.functions), len(s.cacherTests))
	}
	return s, nil
}

// addCacherTest notes which functions a test of the watch cache calls.
func (s *suite) addCacherTest(test *ast.FuncDecl) {
	ast.Inspect(test, func(n ast.Node) bool {
		if call, ok := n.(*ast.SelectorExpr); ok && slices.Contains(s.functions, call.Sel.Name) {
			s.cacherTests[call.Sel.Name] = append(s.cacherTests[call.Sel.Name], test.Name.Name)
		}
		return true
	})
}

// exemptCase returns the name of a test case that a cache need not pass.
func exemptCase(n ast.Node) string {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	fields := map[string]ast.Expr{}
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				fields[key.Name] = pair.Value
			}
		}
	}
	name, named := fields["name"].(*ast.BasicLit)
	if exempt, ok := fields["ignoreForWatchCache"].(*ast.Ident); !ok || exempt.Name != "true" || !named {
		return ""
	}
	text, err := strconv.Unquote(name.Value)
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(text, " ", "_") // as the test is called
}

// exempts reports whether a test of the watch cache is one that the API server skips for
// every cache.
func (s *suite) exempts(test string) bool {
	return slices.ContainsFunc(s.notForCaches, func(name string) bool { return strings.HasSuffix(test, "/"+name) })
}

func parseDir(dir string) ([]*ast.File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func functions(file *ast.File) []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
			found = append(found, f)
		}
	}
	return found
}
