package main

import (
	"fmt"
	"go/ast"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// jsonName is what a field is called in JSON, or empty if it has no name of its own.
func jsonName(field *ast.Field) string {
	if field.Tag == nil {
		return ""
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name
}

// named is the name of the type that values of expr are made of, or empty.
func named(expr ast.Expr) string {
	switch t := expr.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return named(t.X)
	case *ast.ArrayType:
		return named(t.Elt)
	case *ast.MapType:
		return named(t.Value)
	}
	return ""
}

// words are types that are not ours, in words.
var words = map[string]string{
	"string": "string", "bool": "boolean", "int32": "integer", "int64": "integer",
	"ObjectMeta": "ObjectMeta", "ListMeta": "ListMeta", "Time": "time", "MicroTime": "time with fractions of a second", "Condition": "Condition",
	"RawExtension": "any JSON object", "Quantity": "quantity", "IntOrString": "integer or string",
}

// typeText is a type in words, with a link to it if it is one of ours.
func typeText(expr ast.Expr) string {
	switch t := expr.(type) {
	case *ast.StarExpr:
		return typeText(t.X)
	case *ast.ArrayType:
		return "list of " + typeText(t.Elt)
	case *ast.MapType:
		return "map of " + typeText(t.Value)
	case *ast.SelectorExpr:
		return words[t.Sel.Name]
	case *ast.Ident:
		if ast.IsExported(t.Name) {
			return link(t.Name)
		}
		return words[t.Name]
	}
	return ""
}

func link(name string) string { return "[" + name + "](#" + strings.ToLower(name) + ")" }

// silent are tags that are about generated code, or say what others do.
var silent = regexp.MustCompile(`^(k8s:)?optional$|^k8s:(eachVal=\+k8s:)?opaqueType$|^listType=(map|atomic)$|^k8s:list(Type|MapKey)=|^patch(Strategy|MergeKey)=`)

// rules are how the other tags of fields read.
var rules = []struct {
	tag  *regexp.Regexp
	text string
}{
	{regexp.MustCompile(`^k8s:required$`), "required"},
	{regexp.MustCompile(`^k8s:immutable$`), "cannot be changed"},
	{regexp.MustCompile(`^k8s:unionMember.*$`), "exactly one of those marked so"},
	{regexp.MustCompile(`^default="?([^"]*)"?$`), "default `$1`"},
	{regexp.MustCompile(`^k8s:maxLength=(.+)$`), "at most $1 characters"},
	{regexp.MustCompile(`^k8s:minimum=(.+)$`), "at least $1"},
	{regexp.MustCompile(`^k8s:maximum=(.+)$`), "at most $1"},
	{regexp.MustCompile(`^k8s:minItems=(.+)$`), "at least $1 items"},
	{regexp.MustCompile(`^k8s:maxItems=(.+)$`), "at most $1 items"},
	{regexp.MustCompile(`^k8s:format=k8s-short-name$`), "a DNS label, such as `a-1`"},
	{regexp.MustCompile(`^k8s:format=k8s-long-name$`), "a DNS name, such as `a-1.example.com`"},
	{regexp.MustCompile(`^listMapKey=(.+)$`), "no two with the same `$1`"},
	{regexp.MustCompile(`^listType=set$`), "no two alike"},
}

// limits are what the tags of a field say, in words.
func limits(field *ast.Field) ([]string, error) {
	var texts []string
	for _, comment := range field.Doc.List {
		tag, is := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(comment.Text, "//")), "+")
		if !is {
			continue
		}
		known := silent.MatchString(tag)
		for _, rule := range rules {
			if rule.tag.MatchString(tag) {
				known = true
				texts = append(texts, rule.tag.ReplaceAllString(tag, rule.text))
			}
		}
		if !known {
			return nil, fmt.Errorf("there are no words for the tag %s", tag)
		}
	}
	return texts, nil
}

// fieldText is what is to be known about a field.
func fieldText(name string, field *ast.Field) (string, error) {
	text := cell(prose(after(field.Doc.Text(), name)))
	texts, err := limits(field)
	if err != nil {
		return "", fmt.Errorf("field %s: %w", name, err)
	}
	if len(texts) > 0 {
		text += fmt.Sprintf(" *%s.*", strings.Join(texts, "; "))
	}
	return text, nil
}

// after is the text without the name that it begins with, as comments do.
func after(text, name string) string {
	rest, begins := strings.CutPrefix(text, name+" ")
	if strings.HasPrefix(rest, "and ") {
		return text
	}
	for _, verb := range []string{"is ", "are "} {
		if shorter, has := strings.CutPrefix(rest, verb); begins && has {
			rest = shorter
			break
		}
	}
	if word, _, _ := strings.Cut(rest, " "); strings.Contains(strings.TrimRight(word, ".,"), ".") {
		return rest // the name of a field
	}
	return strings.ToUpper(rest[:min(1, len(rest))]) + rest[min(1, len(rest)):]
}

// prose is a comment without its tags.
func prose(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "+") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// cell is text for a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// summary is the first sentence of a comment.
func summary(text string) string {
	text = cell(prose(text))
	if end := strings.Index(text, ". "); end > 0 {
		return text[:end+1]
	}
	return text
}

// literal is the text of a constant of this package.
func literal(expr ast.Expr) string {
	if basic, ok := expr.(*ast.BasicLit); ok {
		if text, err := strconv.Unquote(basic.Value); err == nil {
			return text
		}
	}
	return ""
}
