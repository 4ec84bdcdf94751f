package engine

import (
	"strings"
	"testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestOrigin(t *testing.T) {
	t.Parallel()
	e, s := testEngine(), testStore()
	e.Spec.Values = raw(`{"probe":{"path":"/"}}`)
	e.Spec.Versions[1].Values = raw(`{"image":{"tag":"2"},"size":1}`)
	e.Spec.Plans[0].Values = raw(`{"size":2}`)
	e.Spec.Mappings = []v1alpha1.ValueMapping{
		{Value: "store.title", From: v1alpha1.StoreFieldDisplayName},
		{Value: "store.secret", From: v1alpha1.StoreFieldCredentialsSecret},
		{Value: "theme.host", From: v1alpha1.StoreFieldURL},
	}
	s.Spec.Values = raw(`{"theme":{"dark":true,"host":"mine","colors":["red"]},"image":{"name":"shop"}}`)
	for path, want := range map[string]string{
		"store.title":    "spec.displayName",
		"store.secret":   "spec.engine",
		"theme.host":     "spec.host", // the mapping wins
		"theme.dark":     "spec.values.theme.dark",
		"theme.missing":  "spec.values.theme",
		"theme.colors.0": "spec.values.theme.colors",
		"image.tag":      "spec.version",
		"image.name":     "spec.values.image.name",
		"size":           "spec.plan",
		"probe.path":     "spec.engine",
		"":               "spec.engine",
	} {
		if got := Origin(e, s, strings.Split(path, ".")).String(); got != want {
			t.Errorf("the value %q comes from %s, want %s", path, got, want)
		}
	}
}
