package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// verbs are all that a client can ask of stores.
var verbs = map[string]func(context.Context, typed.StoreInterface, *v1alpha1.Store) error{
	"get": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.Get(ctx, store.Name, metav1.GetOptions{})
		return err
	},
	"list": func(ctx context.Context, stores typed.StoreInterface, _ *v1alpha1.Store) error {
		_, err := stores.List(ctx, metav1.ListOptions{})
		return err
	},
	"list by owner": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.List(ctx, metav1.ListOptions{FieldSelector: "spec.owner=" + store.Spec.Owner})
		return err
	},
	"list from cache": func(ctx context.Context, stores typed.StoreInterface, _ *v1alpha1.Store) error {
		_, err := stores.List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		return err
	},
	"watch": func(ctx context.Context, stores typed.StoreInterface, _ *v1alpha1.Store) error {
		watcher, err := stores.Watch(ctx, metav1.ListOptions{})
		if err == nil {
			watcher.Stop()
		}
		return err
	},
	"create": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		another := &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{GenerateName: "another-"}, Spec: v1alpha1.StoreSpec{Engine: store.Spec.Engine}}
		_, err := stores.Create(ctx, another, metav1.CreateOptions{})
		return err
	},
	"update": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.Update(ctx, store, metav1.UpdateOptions{})
		return err
	},
	"update status": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.UpdateStatus(ctx, store, metav1.UpdateOptions{})
		return err
	},
	"patch": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.Patch(ctx, store.Name, types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{})
		return err
	},
	"credentials": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.GetCredentials(ctx, store.Name, metav1.GetOptions{})
		return err
	},
	"history": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.GetHistory(ctx, store.Name, metav1.GetOptions{})
		return err
	},
	"rollback": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		_, err := stores.Rollback(ctx, store.Name, &v1alpha1.StoreRollback{Spec: v1alpha1.StoreRollbackSpec{ResourceVersion: store.ResourceVersion}}, metav1.CreateOptions{})
		return err
	},
	"delete": func(ctx context.Context, stores typed.StoreInterface, store *v1alpha1.Store) error {
		return stores.Delete(ctx, store.Name, metav1.DeleteOptions{})
	},
	"delete collection": func(ctx context.Context, stores typed.StoreInterface, _ *v1alpha1.Store) error {
		return stores.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	},
}

// Of all that can be asked, an owner by the role edit is refused what the
// provisioner alone may do, and others everything.
func TestNeverAgain03EveryVerbIsChecked(t *testing.T) {
	t.Parallel()
	mine, yours := env.NewNamespace(t), env.NewNamespace(t)
	env.Allow(t, "tenant", mine, "platform-stores-edit")
	env.Allow(t, "tenant", mine, "platform-stores-view")
	store := create(t, yours, newStore("flowers", newEngine(t)))
	tenant := env.User("tenant")
	harness.Eventually(t, patience, "the tenant's rights", untilAllowed(func() error {
		return verbs["list"](t.Context(), harness.Platform(t, tenant).Stores(mine), store)
	}))
	t.Run("owner", func(t *testing.T) {
		for verb, do := range verbs {
			t.Run(verb, func(t *testing.T) {
				err := do(t.Context(), harness.Platform(t, tenant).Stores(mine), create(t, mine, &v1alpha1.Store{
					ObjectMeta: metav1.ObjectMeta{GenerateName: "mine-"}, Spec: v1alpha1.StoreSpec{Engine: store.Spec.Engine},
				}))
				// The fixture's engine has no login to show.
				if allowed := err == nil || verb == "credentials" && apierrors.IsNotFound(err); allowed == (verb == "update status") {
					t.Errorf("got error %v", err)
				}
			})
		}
	})
	strangers := map[string]struct {
		config    *rest.Config
		namespace string
	}{
		"another tenant":                     {tenant, yours},
		"another tenant over all namespaces": {tenant, metav1.NamespaceAll},
		"user without rights":                {env.User("nobody"), yours},
		"anonymous":                          {env.Anonymous(), yours},
		"anonymous to our server":            {env.Server().As(env.Anonymous()), yours},
		"another tenant to our server":       {env.Server().As(tenant), yours},
	}
	for who, stranger := range strangers {
		for verb, do := range verbs {
			t.Run(who+"/"+verb, func(t *testing.T) {
				t.Parallel()
				if stranger.namespace == "" && verb != "list" && verb != "watch" && verb != "list by owner" && verb != "list from cache" {
					t.Skip("asked of a namespace only")
				}
				err := do(t.Context(), harness.Platform(t, stranger.config).Stores(stranger.namespace), store)
				if !apierrors.IsForbidden(err) {
					t.Errorf("got %v, want Forbidden", err)
				}
			})
		}
	}
	t.Run("nothing happened", func(t *testing.T) {
		list, err := harness.Platform(t, env.Admin()).Stores(yours).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 {
			t.Errorf("stores %v, want the one", names(list))
		}
	})
}

// What a tenant may list and watch never holds another tenant's stores, whatever
// the selector.
func TestNeverAgain07TenantsSeeTheirOwn(t *testing.T) {
	t.Parallel()
	mine, yours, engine := env.NewNamespace(t), env.NewNamespace(t), newEngine(t)
	env.Allow(t, "tenant", mine, "platform-stores-view")
	create(t, yours, newStore("yours", engine))
	create(t, mine, newStore("mine", engine))
	stores := harness.Platform(t, env.User("tenant")).Stores(mine)
	for _, selector := range []string{"", "spec.owner=admin", "spec.engine=" + engine.Name, "status.ready=Unknown"} {
		options := metav1.ListOptions{FieldSelector: selector, ResourceVersion: "0"}
		harness.Eventually(t, patience, "the tenant's own store", func(ctx context.Context) (bool, error) {
			list, err := stores.List(ctx, options)
			if apierrors.IsForbidden(err) {
				return false, nil
			}
			return err == nil && len(list.Items) == 1 && list.Items[0].Name == "mine", err
		})
		watcher := startWatch(t, stores, options)
		if store := next(t, watcher, "ADDED"); store.Name != "mine" {
			t.Errorf("watch %q shows %s/%s", selector, store.Namespace, store.Name)
		}
		// The other tenant's store changes first, so its event would come first.
		create(t, yours, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{GenerateName: "yours-"}, Spec: v1alpha1.StoreSpec{Engine: engine.Name}})
		added := create(t, mine, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{GenerateName: "mine-"}, Spec: v1alpha1.StoreSpec{Engine: engine.Name}})
		if store := next(t, watcher, "ADDED"); store.Name != added.Name {
			t.Errorf("watch %q shows %s/%s", selector, store.Namespace, store.Name)
		}
		added.Finalizers = nil
		admin := harness.Platform(t, env.Admin()).Stores(mine)
		if _, err := admin.Update(t.Context(), added, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := admin.Delete(t.Context(), added.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// Only the front proxy's certificate makes our server believe the headers that
// name a user.
func TestNeverAgain01ForgedFrontProxyHeaders(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	create(t, namespace, newStore("flowers", newEngine(t)))
	callers := map[string]*rest.Config{
		"without a certificate":      env.Anonymous(),
		"with a user's certificate":  env.User("mallory"),
		"with the proxy's user name": env.User("front-proxy-client"),
	}
	paths := map[string]string{
		"list all":   "/apis/platform.dev/v1alpha1/stores",
		"get":        "/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores/flowers",
		"watch":      "/apis/platform.dev/v1alpha1/stores?watch=true",
		"history":    "/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores/flowers/history",
		"login":      "/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores/flowers/credentials",
		"metrics":    "/metrics",
		"configz":    "/configz",
		"debug":      "/debug/pprof/",
		"log levels": "/debug/flags/v",
	}
	for who, config := range callers {
		for what, path := range paths {
			t.Run(who+"/"+what, func(t *testing.T) {
				t.Parallel()
				status, body := send(t, env.Server().As(config), http.MethodGet, path, http.Header{
					"X-Remote-User":  {"admin"},
					"X-Remote-Group": {"system:masters"},
				})
				if status != http.StatusForbidden && status != http.StatusUnauthorized {
					t.Errorf("status %d, want 401 or 403: %s", status, body)
				}
			})
		}
	}
}

func TestAuditTellsWhoCreatedTheStore(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	env.Allow(t, "alice", namespace, "platform-stores-edit")
	alice := harness.Platform(t, env.User("alice")).Stores(namespace)
	harness.Eventually(t, patience, "the user's rights", untilAllowed(func() error {
		_, err := alice.Create(t.Context(), newStore("flowers", engine), metav1.CreateOptions{})
		return err
	}))
	impersonating := env.Admin()
	impersonating.Impersonate = rest.ImpersonationConfig{UserName: "alice"}
	if _, err := harness.Platform(t, impersonating).Stores(namespace).Create(t.Context(), newStore("bread", engine), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The cluster does not read what it forwards: its log tells who, ours which
	// store, and the audit ID joins the two.
	var cluster, ours []auditv1.Event
	harness.Eventually(t, patience, "both audit logs", func(context.Context) (bool, error) {
		content, err := os.ReadFile(env.AuditLog())
		if err != nil {
			return false, err
		}
		cluster = creations(content, namespace)
		if content, err = env.Server().Log(); err != nil {
			return false, err
		}
		ours = creations(content, namespace)
		return len(cluster) == 2 && len(ours) == 2, nil
	})
	type record struct {
		Name, User, Impersonated string
		InHistory                bool // under the ID that both logs have
	}
	var got []record
	for _, event := range ours {
		if event.User.Username != "alice" {
			t.Errorf("%s was created by %q in our log, want alice", event.ObjectRef.Name, event.User.Username)
		}
		joined := record{Name: event.ObjectRef.Name}
		past := getHistory(t, namespace, event.ObjectRef.Name, "").Items
		joined.InHistory = past[len(past)-1].AuditID == string(event.AuditID)
		for _, forwarded := range cluster {
			if forwarded.AuditID != event.AuditID {
				continue
			}
			joined.User = forwarded.User.Username
			if forwarded.ImpersonatedUser != nil {
				joined.Impersonated = forwarded.ImpersonatedUser.Username
			}
		}
		got = append(got, joined)
	}
	want := []record{{Name: "flowers", User: "alice", InHistory: true}, {Name: "bread", User: "admin", Impersonated: "alice", InHistory: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("creations (-want +got):\n%s", diff)
	}
}

// The rules of the chart are all that the server needs.
func TestServerIsRefusedNothing(t *testing.T) {
	t.Parallel()
	// A write has been through all of admission.
	create(t, env.NewNamespace(t), newStore("flowers", newEngine(t)))
	log, err := env.Server().Log()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte("system:serviceaccount:platform-system:platform-apiserver")) && bytes.Contains(line, []byte("cannot")) {
			t.Errorf("the server lacks a right: %s", line)
		}
	}
	// And they are no more than reading what admission and fairness follow.
	role, err := harness.Core(t, env.Admin()).RbacV1().ClusterRoles().Get(t.Context(), "platform-apiserver", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range role.Rules {
		for _, value := range slices.Concat(rule.Verbs, rule.APIGroups, rule.Resources) {
			if slices.Contains([]string{"*", "secrets", "impersonate", "create", "update", "delete"}, value) {
				t.Errorf("the server's role holds %q: %+v", value, rule)
			}
		}
	}
}

// creations returns the audit events of successful creations in a namespace.
func creations(log []byte, namespace string) []auditv1.Event {
	var found []auditv1.Event
	for line := range bytes.Lines(log) {
		var event auditv1.Event
		if json.Unmarshal(line, &event) != nil || event.ObjectRef == nil || event.ObjectRef.Namespace != namespace {
			continue
		}
		if event.ObjectRef.Resource == "stores" && event.Verb == "create" && event.ResponseStatus != nil && event.ResponseStatus.Code == http.StatusCreated {
			found = append(found, event)
		}
	}
	return found
}

// send makes one plain request and returns its status and body.
func send(t testing.TB, config *rest.Config, method, path string, header http.Header) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return harness.Request(ctx, t, config, method, path, header, "")
}
