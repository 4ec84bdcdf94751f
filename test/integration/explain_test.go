package integration

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/spec3"
)

func TestKubectlExplains(t *testing.T) {
	t.Parallel()
	k := newKubectl(t)
	tree := k.run("", "explain", "store.spec", "--recursive")
	contains(t, tree, "GROUP:      platform.dev", "VERSION:    v1alpha1",
		"adminEmail", "deletionPolicy", "deletionProtection", "displayName", "engine", "-required-", "host", "owner",
		"plan", "powerState", "suspend", "values", "version", "enum: Delete, Retain", "enum: Hibernated, Running")
	for _, path := range []string{"store", "store.spec", "store.status", "store.status.release.actions", "engine.spec", "engine.spec.plans.limits", "engine.spec.storefront.checks"} {
		if text := k.run("", "explain", path); strings.Contains(text, "<no description>") {
			t.Errorf("kubectl explain %s leaves something out:\n%s", path, text)
		}
	}
	contains(t, k.run("", "explain", "sto.spec.engine"), "kubectl get engines", "cannot be changed")
}

// Every field of ours has a description, at any depth.
func TestSchemaDescribesEveryField(t *testing.T) {
	t.Parallel()
	status, body := send(t, env.Admin(), http.MethodGet, "/openapi/v3/apis/platform.dev/v1alpha1", nil)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	var document spec3.OpenAPI
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	ours := 0
	for name, schema := range document.Components.Schemas {
		if !strings.HasPrefix(name, "dev.platform.") {
			continue
		}
		ours++
		if schema.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for property, value := range schema.Properties {
			if value.Description == "" && !slices.Contains([]string{"apiVersion", "kind"}, property) {
				t.Errorf("%s.%s has no description", name, property)
			}
		}
	}
	if ours < 15 {
		t.Errorf("%d schemas of ours, want all types", ours)
	}
}
