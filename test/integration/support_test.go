package integration

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// password is what the servers log in to PostgreSQL with. It must never be seen.
const password = "pa55-that-nobody-may-see"

// withPassword puts the password into a connection string.
func withPassword(dsn string) string {
	parsed, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	query := parsed.Query()
	query.Set("password", password)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// newEngine makes an engine that is the test's own, with versions 1.0 and 2.0,
// plans small and large, and a schema that allows the value "theme".
func newEngine(t testing.TB) *v1alpha1.Engine {
	t.Helper()
	return createEngine(t, harness.Platform(t, env.Admin()))
}

func createEngine(t testing.TB, client typed.PlatformV1alpha1Interface) *v1alpha1.Engine {
	t.Helper()
	builtin := "fixture"
	engine, err := client.Engines().Create(t.Context(), &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "engine-" + rand.String(8)},
		Spec: v1alpha1.EngineSpec{
			DisplayName:    "Fixture",
			Chart:          v1alpha1.ChartSource{Builtin: &builtin},
			Versions:       []v1alpha1.EngineVersion{{Name: "1.0"}, {Name: "2.0"}},
			DefaultVersion: "2.0",
			Plans:          []v1alpha1.EnginePlan{{Name: "small"}, {Name: "large"}},
			DefaultPlan:    "small",
			ValuesSchema: &runtime.RawExtension{Raw: []byte(
				`{"type":"object","additionalProperties":false,"properties":{"theme":{"type":"string","enum":["light","dark"]}}}`)},
			Storefront: v1alpha1.Storefront{Service: "shop", Port: 80, Checks: []v1alpha1.StorefrontCheck{{Path: "/"}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// newStore returns a store to create. Its host is the test's own, as its engine is.
func newStore(name string, engine *v1alpha1.Engine) *v1alpha1.Store {
	return &v1alpha1.Store{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.StoreSpec{Engine: engine.Name, Host: hostOf(name, engine)},
	}
}

// hostOf is a host that no other test's store has.
func hostOf(name string, engine *v1alpha1.Engine) string {
	return name + "." + engine.Name + ".example.com"
}

// create creates a store as an administrator.
func create(t testing.TB, namespace string, store *v1alpha1.Store) *v1alpha1.Store {
	t.Helper()
	created, err := harness.Platform(t, env.Admin()).Stores(namespace).Create(t.Context(), store, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating store %q: %v", store.Name, err)
	}
	return created
}

// setReady reports a store's Ready condition as the provisioner does.
func setReady(t testing.TB, store *v1alpha1.Store, status metav1.ConditionStatus) *v1alpha1.Store {
	t.Helper()
	store = store.DeepCopy()
	store.Status.ObservedGeneration = store.Generation
	store.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: status, Reason: "Tested", LastTransitionTime: metav1.Now(), ObservedGeneration: store.Generation,
	}}
	updated, err := harness.Platform(t, env.Admin()).Stores(store.Namespace).UpdateStatus(t.Context(), store, metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("updating the status of store %q: %v", store.Name, err)
	}
	return updated
}

// untilAllowed repeats do until it is not refused: rights take a moment to reach
// every cache.
func untilAllowed(do func() error) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return !apierrors.IsForbidden(do()), nil }
}

// contains fails the test for every part that text lacks.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}
