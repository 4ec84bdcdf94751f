package provisioning

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/scan"
	"platform.dev/stores/test/internal/tiny"
)

// answers keeps what a client was answered, by request.
type answers struct {
	mu  sync.Mutex
	all map[string][]byte
}

func (a *answers) record(next http.RoundTripper) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all[fmt.Sprintf("answer %d, %d to %s %s as %s", len(a.all), response.StatusCode, r.Method, r.URL.RequestURI(), r.Header.Get("Accept"))] = body
		return response, nil
	})
}

// Through installing, upgrades, failures of both kinds, dry runs, rollbacks and the end,
// no answer that a tenant gets, nothing that stands in a namespace, no log, metric or
// release holds a password of the store: only the answer that is asked for it.
func TestSecretsAreShownOnlyWhereAskedFor(t *testing.T) {
	env.StartControllers(t)
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(shop.Close)
	program := env.StartProvisioner(t, nil, "--storefront-address="+shop.Listener.Addr().String())
	namespace, engine := env.NewNamespace(t), discreetEngine(t)
	cleanUp(t, namespace)
	seen := &answers{all: map[string][]byte{}}
	tenant := newTenant(t, namespace)
	tenant.Wrap(seen.record)

	store := create(t, namespace, "flowers", engine)
	store = ready(t, namespace, store.Name, metav1.ConditionTrue)
	secrets := &scan.Scanner{}
	values := credentials(t, store)
	secrets.Add(t, "the password", values["password"])
	secrets.Add(t, "the key", values["key"])
	path := "/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores/flowers"
	const merge, dry = "application/merge-patch+json", "?dryRun=All"
	ask := func(method, path, contentType, body string) {
		t.Helper()
		harness.Request(t.Context(), t, tenant, method, path, http.Header{"Content-Type": {contentType}}, body)
	}
	// What a tenant does with a store, and what goes wrong with it.
	ask(http.MethodPatch, path+dry, merge, `{"spec":{"version":"2.0","displayName":"Roses"}}`)
	ask(http.MethodPatch, path+dry, merge, `{"spec":{"version":"none","values":{"password":1}}}`)
	ask(http.MethodPost, strings.TrimSuffix(path, "/flowers")+dry, "application/json", `{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"name":"another"},"spec":{"engine":"`+engine.Name+`"}}`)
	ask(http.MethodDelete, path+dry, "", "")
	change(t, namespace, store.Name, func(s *v1alpha1.StoreSpec) { s.Version = "2.0" })
	ready(t, namespace, store.Name, metav1.ConditionTrue)
	for _, version := range []string{"broken", "unpullable"} {
		change(t, namespace, store.Name, func(s *v1alpha1.StoreSpec) { s.Version = version })
		until(t, namespace, store.Name, patience, func(s *v1alpha1.Store) bool {
			c := condition(s, v1alpha1.ConditionReady)
			return c.ObservedGeneration == s.Generation && c.Reason == "UpgradeFailed"
		})
	}
	ask(http.MethodPost, path+"/rollback", "application/json", `{"apiVersion":"platform.dev/v1alpha1","kind":"StoreRollback","spec":{"resourceVersion":"`+store.ResourceVersion+`"}}`)
	ready(t, namespace, store.Name, metav1.ConditionTrue)

	for _, sub := range []string{"", "/status", "/history", "/history?at=" + store.ResourceVersion, "/rollback", "?resourceVersion=0"} {
		ask(http.MethodGet, path+sub, "", "")
	}
	everything(t, tenant, namespace)
	for where, body := range seen.all {
		secrets.Scan(t, where, body)
	}
	if len(seen.all) < 40 {
		t.Errorf("only %d answers were looked at", len(seen.all))
	}
	// What is in the store's own namespace but its Secrets, as an administrator sees it.
	inside := &answers{all: map[string][]byte{}}
	admin := env.Admin()
	admin.Wrap(inside.record)
	everything(t, admin, store.Status.Namespace)
	for where, body := range inside.all {
		if !strings.Contains(where, "/secrets") {
			secrets.Scan(t, where, body)
		}
	}
	secrets.ScanReleases(t.Context(), t, harness.Core(t, env.Admin()), store.Status.Namespace)
	scanPrograms(t, secrets, program.URL)

	granted := &answers{all: map[string][]byte{}}
	tenant.Wrap(granted.record)
	ask(http.MethodGet, path+"/credentials", "", "")
	for where, body := range granted.all {
		if len(secrets.Hits(body)) == 0 {
			t.Errorf("the scanner does not find the password where it is: %s: %s", where, body)
		}
	}
	t.Log(secrets)
}

// discreetEngine is one of the tiny chart with a login and more to hide.
func discreetEngine(t *testing.T) *v1alpha1.Engine {
	t.Helper()
	charts, err := tiny.Serve(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	engine := tiny.Engine("discreet-"+rand.String(8), 10)
	engine.Spec.Chart = v1alpha1.ChartSource{Repository: &v1alpha1.ChartRepository{URL: charts, Name: "tiny"}}
	for i := range engine.Spec.Versions {
		engine.Spec.Versions[i].ChartVersion = "1.0.0"
	}
	email := v1alpha1.StoreFieldAdminEmail
	engine.Spec.Credentials = append(engine.Spec.Credentials,
		v1alpha1.Credential{Key: "key", Generate: &v1alpha1.RandomValue{Length: 64, Format: v1alpha1.RandomHex}},
		v1alpha1.Credential{Key: "user", From: &email})
	engine.Spec.AdminLogin = &v1alpha1.AdminLogin{UsernameKey: "user", PasswordKey: "password"}
	if engine, err = harness.Platform(t, env.Admin()).Engines().Create(t.Context(), engine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return engine
}

// newTenant returns a user who may edit stores and see whatever a viewer of the namespace
// sees.
func newTenant(t *testing.T, namespace string) *rest.Config {
	t.Helper()
	name := "tenant-" + rand.String(8)
	for _, role := range []string{"platform-stores-edit", "platform-stores-view", "edit"} {
		env.Allow(t, name, namespace, role)
	}
	return env.User(name)
}

// everything asks for all that there is in a namespace, in each form that kubectl asks.
func everything(t *testing.T, config *rest.Config, namespace string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := client.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		prefix := "/apis/" + list.GroupVersion
		if list.GroupVersion == "v1" {
			prefix = "/api/v1"
		}
		for _, resource := range list.APIResources {
			for _, accept := range []string{"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/yaml"} {
				request := client.Discovery().RESTClient().Get().AbsPath(prefix, "namespaces", namespace, resource.Name).SetHeader("Accept", accept)
				_, _ = request.DoRaw(t.Context()) // what is refused is looked at as well
			}
		}
	}
}

// scanPrograms scans the logs and the metrics of all that runs.
func scanPrograms(t *testing.T, secrets *scan.Scanner, provisioner string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(env.Logs(), "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(logs, env.AuditLog()) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		secrets.Scan(t, file, content)
	}
	for _, config := range []*rest.Config{env.Server().As(env.Admin()), {Host: provisioner}} {
		status, metrics := harness.Request(t.Context(), t, config, http.MethodGet, "/metrics", nil, "")
		if status != http.StatusOK {
			t.Fatalf("metrics of %s: status %d", config.Host, status)
		}
		secrets.Scan(t, "the metrics of "+config.Host, []byte(metrics))
	}
}
