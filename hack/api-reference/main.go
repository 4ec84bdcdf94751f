// Command api-reference prints the reference of the platform API as Markdown: kinds,
// fields, defaults and limits from the Go types and the tags that the server enforces,
// and conditions and reasons from the code that sets them.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := write(out, ".")
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const intro = `<!-- Written by "make generate" from the Go types. Edit those. -->

# API reference

The group is ` + "`platform.dev`" + `, the version ` + "`v1alpha1`" + `.
What a field may not be is an ` + "`Invalid`" + ` error that names it, together with all that is
wrong elsewhere. Rules between fields are told by that error only. A field is optional if it
is not said to be required. ` + "`kubectl explain store.spec`" + ` tells the same in the terminal.

`

// write prints the reference of the repository at root.
func write(out io.Writer, root string) error {
	api, err := read(filepath.Join(root, "pkg", "apis", "platform", "v1alpha1"))
	if err != nil {
		return err
	}
	fmt.Fprint(out, intro)
	r := reference{out: out, types: typesOf(api), written: map[string]bool{}}
	kinds := []string{"Store", "Engine", "StoreQuota", "StoreCredentials", "StoreHistory", "StoreHistoryOptions", "StoreRollback", "SelfStoreQuotaReview"}
	for _, kind := range kinds {
		fmt.Fprintf(out, "- %s: %s\n", link(kind), summary(r.types[kind].Doc))
	}
	fmt.Fprint(out, "- [Conditions](#conditions), [reasons](#reasons), [labels, annotations and selectors](#labels-annotations-and-selectors)\n")
	for _, kind := range kinds {
		if err := r.writeType(kind, "##"); err != nil {
			return err
		}
	}
	writeConstants(out, api)
	reasons, err := reasonsOf(filepath.Join(root, "pkg", "provisioner"), api)
	if err != nil {
		return err
	}
	writeReasons(out, reasons)
	return nil
}

// read parses the package in folder, with the comments of all that it declares.
func read(folder string) (*doc.Package, error) {
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var parsed []*ast.File
	for _, path := range paths {
		if name := filepath.Base(path); strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "zz_generated") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		parsed = append(parsed, file)
	}
	return doc.NewFromFiles(files, parsed, folder)
}

func typesOf(api *doc.Package) map[string]*doc.Type {
	types := map[string]*doc.Type{}
	for _, t := range api.Types {
		types[t.Name] = t
	}
	return types
}

// reference writes each type once.
type reference struct {
	out     io.Writer
	types   map[string]*doc.Type
	written map[string]bool
}

// writeType writes a type under a heading, and then those that its fields have.
func (r *reference) writeType(name, heading string) error {
	t := r.types[name]
	if t == nil || r.written[name] {
		return nil
	}
	r.written[name] = true
	fmt.Fprintf(r.out, "\n%s %s\n\n%s\n", heading, name, prose(t.Doc))
	spec := t.Decl.Specs[0].(*ast.TypeSpec)
	fields, isStruct := spec.Type.(*ast.StructType)
	if !isStruct {
		r.writeValues(t)
		return nil
	}
	fmt.Fprint(r.out, "\n| field | type | |\n|---|---|---|\n")
	var inner []string
	for _, field := range fields.Fields.List {
		name := jsonName(field)
		if name == "" {
			continue // of every object
		}
		text, err := fieldText(name, field)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		fmt.Fprintf(r.out, "| `%s` | %s | %s |\n", name, typeText(field.Type), text)
		inner = append(inner, named(field.Type))
	}
	for _, name := range inner {
		if err := r.writeType(name, "###"); err != nil {
			return err
		}
	}
	return nil
}

// writeValues lists the values of an enumeration.
func (r *reference) writeValues(t *doc.Type) {
	fmt.Fprint(r.out, "\n| value | |\n|---|---|\n")
	for _, group := range t.Consts {
		for _, spec := range group.Decl.Specs {
			value := spec.(*ast.ValueSpec)
			fmt.Fprintf(r.out, "| `%s` | %s |\n", literal(value.Values[0]), cell(prose(after(value.Doc.Text(), value.Names[0].Name))))
		}
	}
}

// writeConstants writes the tables of conditions, and of other names that objects hold.
func writeConstants(out io.Writer, api *doc.Package) {
	var conditions, others []string
	for _, group := range api.Consts {
		for _, spec := range group.Decl.Specs {
			value := spec.(*ast.ValueSpec)
			name, comment := value.Names[0].Name, cmp.Or(value.Doc.Text(), group.Doc)
			row := fmt.Sprintf("| `%s` | %s |\n", literal(value.Values[0]), cell(prose(after(comment, name))))
			switch {
			case strings.HasPrefix(name, "Condition"):
				conditions = append(conditions, row)
			case strings.HasPrefix(name, "Reason") || name == "GroupName":
			default:
				others = append(others, row)
			}
		}
	}
	fmt.Fprint(out, "\n## Conditions\n\nA condition is about `metadata.generation` only if `status.observedGeneration` equals it.\n\n| type | |\n|---|---|\n", strings.Join(conditions, ""))
	fmt.Fprint(out, "\n## Labels, annotations and selectors\n\n| name | |\n|---|---|\n", strings.Join(others, ""))
}
