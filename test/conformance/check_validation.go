package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// causes are those of a refusal, which must be a 422.
func (t *T) causes(what string, err error) []metav1.StatusCause {
	var refused apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &refused) || refused.Status().Details == nil {
		t.Errorf("%s: %v, want Invalid", what, err)
		return nil
	}
	if details := refused.Status().Details; details.Kind != t.Kind || len(details.Causes) == 0 {
		t.Errorf("%s is refused for %+v", what, details)
	}
	return refused.Status().Details.Causes
}

var (
	quoted = regexp.MustCompile("\"[^\"]*\"|`[^`]*`|'[^']*'")
	// advice is in every message that says what to do.
	advice = regexp.MustCompile(`\b(must|may not|may be|supported values|set|use|choose|leave|ask|try|read|restore|start|create another)\b`)
	// unwanted are words and signs that messages do without.
	unwanted = regexp.MustCompile(`\bshould\b|\bcan ?not\b|[<>]=?|=[<>]`)
)

// helps reports whether a message says what to do, as messages do.
func helps(message string) bool {
	words := quoted.ReplaceAllString(message, "it")
	return advice.MatchString(words) && !unwanted.MatchString(words)
}

func checkInvalid(t *T) {
	t.needs(len(t.Invalid) > 0, "values that are invalid")
	for what, patch := range t.Invalid {
		_, err := t.objects().Create(t.Context(), t.object("flowers", patch), metav1.CreateOptions{})
		t.refused(what, err, metav1.StatusReasonInvalid)
		for _, cause := range t.causes(what, err) {
			if cause.Field == "" || cause.Type == "" {
				t.Errorf("%s: cause %+v", what, cause)
			}
			if !helps(cause.Message) {
				t.Errorf("%s: %q does not tell what to do as messages do", what, cause.Message)
			}
		}
	}
}

func checkImmutable(t *T) {
	t.needs(t.Immutable != nil, "an immutable field")
	name := t.create().GetName()
	_, err := t.objects().Patch(t.Context(), name, types.MergePatchType, encode(nested(t.Immutable.Path, t.Immutable.Value)), metav1.PatchOptions{})
	t.refused("a change of "+t.Immutable.Path, err, metav1.StatusReasonInvalid)
	causes := t.causes("a change of "+t.Immutable.Path, err)
	if len(causes) != 1 || causes[0].Field != t.Immutable.Path || !strings.Contains(causes[0].Message, "field is immutable") || !strings.Contains(causes[0].Message, t.Immutable.Advice) {
		t.Errorf("a change of %s is refused for %+v", t.Immutable.Path, causes)
	}
	// What stays the same is no change.
	t.update(name, func(o *unstructured.Unstructured) { set(o, t.Mutable.Path, t.Mutable.Values[0]) })
}

func checkWarnings(t *T) {
	t.needs(len(t.Warned) > 0, "something to warn of")
	for text, patch := range t.Warned {
		name := t.create().GetName()
		a := t.send(t.Admin, http.MethodPatch, t.path(name)+"?dryRun=All", http.Header{"Content-Type": {string(types.MergePatchType)}}, encode(patch))
		if a.code != http.StatusOK {
			t.Errorf("what is warned of is refused: %d %.500s", a.code, a.body)
		}
		t.contains(a.warnings(), "299 ", text)
		for _, warning := range a.header.Values("Warning") {
			// "299 - " and the quotes are no part of the text.
			if length := len(warning) - len(`299 - ""`); length > 120 {
				t.Errorf("a warning has %d characters, want at most 120: %s", length, warning)
			}
		}
		e := t.kubectl("", "patch", t.Resource+"."+t.Group, name, "--dry-run=server", "--type=merge", "-p", string(encode(patch)))
		t.contains(e.stderr, "Warning: ", text)
	}
}

// excess is longer than any text, and has more parts than any list or map, may be.
const excess = 100 << 10

func checkBounds(t *T) {
	created := t.create()
	if t.Controller != nil {
		t.observed(created.GetName()) // It writes no more.
	}
	hasStatus := t.discovered("status") != nil
	t.schema().fields(func(path string, property *node) {
		value := tooMuch(property)
		inStatus := strings.HasPrefix(path, "status.")
		if value == nil || strings.HasSuffix(path, "[]") || inStatus && !hasStatus {
			return
		}
		var subresources []string
		if inStatus {
			subresources = []string{"status"}
		}
		object := t.get(created.GetName())
		merge(object.Object, wrap(strings.Split(path, "."), value))
		answer, err := t.objects().Update(t.Context(), object, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}, subresources...)
		switch {
		case apierrors.IsConflict(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsBadRequest(err):
		case apierrors.IsInvalid(err):
			// What is refused may be something else about the object.
			where := strings.ReplaceAll(path, "[]", "[0]")
			causes := slices.DeleteFunc(t.causes(path, err), func(c metav1.StatusCause) bool {
				return !strings.HasPrefix(c.Field, where) && !strings.HasPrefix(where, c.Field+"[")
			})
			if len(causes) == 0 {
				t.Errorf("%s is not bounded: %.500v", path, err)
			}
			t.said.add(t.row, "too much in "+path, metav1.Status{
				Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Details: &metav1.StatusDetails{Causes: causes},
			})
		case err != nil:
			t.Errorf("too much in %s: %.300v", path, err)
		case len(encode(answer.Object)) >= excess: // and not left out, as what only the server writes
			t.Errorf("%s is not bounded", path)
		}
	})
}

// wrap is an object with a value at a path, whose lists have one item.
func wrap(path []string, value any) map[string]any {
	if len(path) > 1 {
		value = wrap(path[1:], value)
	}
	name := strings.TrimRight(path[0], "[]")
	for range strings.Count(path[0], "[]") {
		value = []any{value}
	}
	return map[string]any{name: value}
}

// tooMuch is a value that no field of the kind may have, or nil if there is none.
func tooMuch(property *node) any {
	switch kind := property.text("type"); {
	case kind == "string" && property.text("format") != "date-time":
		return strings.Repeat("a", excess)
	case kind == "array" && property.items().text("type") == "string":
		return slices.Repeat([]any{"aaaaaaaaaa"}, excess/10)
	case kind == "object" && property.items() != nil && property.items().text("type") == "string":
		all := map[string]any{}
		for i := range excess / 10 {
			all[fmt.Sprintf("key-%06d", i)] = "a"
		}
		return all
	case kind == "object" && len(property.names()) == 0 && property.items() == nil:
		return map[string]any{"a": strings.Repeat("a", excess)}
	}
	return nil
}
