package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// askHistory asks for stores/history with a query such as "limit=1".
func askHistory(t testing.TB, config *rest.Config, namespace, name, query string, into runtime.Object) error {
	t.Helper()
	request := harness.Platform(t, config).RESTClient().Get().Namespace(namespace).Resource("stores").Name(name).SubResource("history")
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			request = request.Param(key, value)
		}
	}
	return request.Do(t.Context()).Into(into)
}

func getHistory(t testing.TB, namespace, name, query string) *v1alpha1.StoreHistory {
	t.Helper()
	history := &v1alpha1.StoreHistory{}
	if err := askHistory(t, env.Admin(), namespace, name, query, history); err != nil {
		t.Fatalf("history?%s: %v", query, err)
	}
	return history
}

// lines renders a history without what differs from run to run. Of what the
// server itself filled in only the paths that begin as one of these are shown.
func lines(history *v1alpha1.StoreHistory, shown ...string) []string {
	var all []string
	for _, item := range history.Items {
		line := fmt.Sprintf("%s %s %d", item.User, item.Verb, item.Generation)
		for _, change := range item.Changes {
			for _, prefix := range shown {
				if strings.HasPrefix(change.Path, prefix) {
					line += fmt.Sprintf("; %s: %s -> %s", change.Path, orNone(change.From), orNone(change.To))
				}
			}
		}
		all = append(all, line)
	}
	return all
}

func orNone(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// edit changes a store as the user of config.
func edit(t testing.TB, config *rest.Config, store *v1alpha1.Store, change func(*v1alpha1.Store)) *v1alpha1.Store {
	t.Helper()
	stores := harness.Platform(t, config).Stores(store.Namespace)
	var updated *v1alpha1.Store
	harness.Eventually(t, patience, "the update", untilAllowed(func() error {
		current, err := stores.Get(t.Context(), store.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(current)
		updated, err = stores.Update(t.Context(), current, metav1.UpdateOptions{})
		return err
	}))
	if updated.UID == "" {
		t.Fatalf("store %q was not updated", store.Name)
	}
	return updated
}

// remove deletes a store and its finalizer, so that it is gone.
func remove(t testing.TB, store *v1alpha1.Store) {
	t.Helper()
	edit(t, env.Admin(), store, func(s *v1alpha1.Store) { s.Finalizers = nil })
	if err := harness.Platform(t, env.Admin()).Stores(store.Namespace).Delete(t.Context(), store.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// History tells who changed what and when, of this store alone.
func TestHistory(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	env.Allow(t, "alice", namespace, "platform-stores-edit")
	env.Allow(t, "alice", namespace, "platform-stores-view")
	before := create(t, namespace, newStore("flowers", engine))
	remove(t, before)
	begin := time.Now()
	created := create(t, namespace, newStore("flowers", engine))
	changed := edit(t, env.User("alice"), created, func(s *v1alpha1.Store) {
		s.Spec.Plan, s.Labels = "large", map[string]string{"example.com/tier": "gold"}
		s.Spec.Values = &runtime.RawExtension{Raw: []byte(`{"theme":"dark"}`)}
	})
	ready := setReady(t, changed, metav1.ConditionTrue)
	if err := harness.Platform(t, env.Admin()).Stores(namespace).Delete(t.Context(), "flowers", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	history := getHistory(t, namespace, "flowers", "")
	want := []string{
		"admin delete 3",
		"admin update 2; status.conditions[Ready].reason: Pending -> Tested; status.conditions[Ready].status: Unknown -> True",
		"alice update 2; metadata.labels[example.com/tier]: none -> gold; spec.plan: small -> large; spec.values.theme: none -> dark",
		"admin create 1; spec.plan: none -> small; status.conditions[Ready].reason: none -> Pending; status.conditions[Ready].status: none -> Unknown",
	}
	got := lines(history, "metadata.labels", "spec.plan", "spec.values", "status.conditions[Ready].status", "status.conditions[Ready].reason")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for i, store := range []*v1alpha1.Store{ready, changed, created} {
		item := history.Items[i+1]
		if item.ResourceVersion != store.ResourceVersion {
			t.Errorf("revision %s, want %s", item.ResourceVersion, store.ResourceVersion)
		}
		if len(item.SourceIPs) == 0 || !slices.ContainsFunc(item.SourceIPs, func(ip string) bool { return net.ParseIP(ip).IsLoopback() }) {
			t.Errorf("revision %s came from %v", item.ResourceVersion, item.SourceIPs)
		}
		if at := item.Time.Time; at.Before(begin.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("revision %s was at %s", item.ResourceVersion, at)
		}
		for _, change := range item.Changes {
			if strings.Contains(change.Path, "managedFields") || strings.Contains(change.Path, "resourceVersion") {
				t.Errorf("the change of %s is nobody's business", change.Path)
			}
		}
	}
	assertPast(t, namespace, history, []*v1alpha1.Store{nil, ready, changed, created})
	assertPages(t, namespace, history)
	assertHistoryErrors(t, namespace, history, before)
}

// assertPast asks for the store as each revision left it.
func assertPast(t *testing.T, namespace string, history *v1alpha1.StoreHistory, stores []*v1alpha1.Store) {
	t.Helper()
	for i, want := range stores {
		if want == nil {
			continue
		}
		item := history.Items[i]
		for _, query := range []string{"resourceVersion=" + item.ResourceVersion, "at=" + item.Time.UTC().Format(time.RFC3339Nano)} {
			got := &v1alpha1.Store{}
			if err := askHistory(t, env.Admin(), namespace, want.Name, query, got); err != nil {
				t.Errorf("history?%s: %v", query, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("history?%s is not the store as it was (-want +got):\n%s", query, diff)
			}
		}
	}
}

// assertPages checks that pages hold what the whole does, with the same changes.
func assertPages(t *testing.T, namespace string, history *v1alpha1.StoreHistory) {
	t.Helper()
	var items []v1alpha1.StoreRevision
	query := "limit=1"
	for range len(history.Items) {
		page := getHistory(t, namespace, "flowers", query)
		items = append(items, page.Items...)
		query = "limit=1&continue=" + page.Continue
	}
	if query != "limit=1&continue=" {
		t.Errorf("after the last page there is more: %s", query)
	}
	if diff := cmp.Diff(history.Items, items); diff != "" {
		t.Errorf("pages (-whole +pages):\n%s", diff)
	}
}

// justBefore is the moment before a write.
func justBefore(at metav1.MicroTime) string {
	return at.Add(-time.Microsecond).UTC().Format(time.RFC3339Nano)
}

func assertHistoryErrors(t *testing.T, namespace string, history *v1alpha1.StoreHistory, before *v1alpha1.Store) {
	t.Helper()
	oldest := history.Items[len(history.Items)-1]
	for name, test := range map[string]struct {
		store, query string
		code         int32
		part         string
	}{
		"no such store":                {"nothing", "", 404, `"nothing" not found`},
		"no such revision":             {"flowers", "resourceVersion=999999999", 404, "revision 999999999"},
		"revision of an earlier store": {"flowers", "resourceVersion=" + before.ResourceVersion, 404, before.ResourceVersion},
		"revision that is no number":   {"flowers", "resourceVersion=yesterday", 400, `resourceVersion "yesterday" must be a number`},
		"before the store was":         {"flowers", "at=" + justBefore(oldest.Time), 404, "and the next was created at " + oldest.Time.UTC().Format(time.RFC3339Nano)},
		"before there was any":         {"flowers", "at=1", 404, `there was no store "flowers" at 1: it was created at `},
		"time that is none":            {"flowers", "at=yesterday", 400, `at "yesterday" must be a time as in RFC 3339, such as 2006-01-02T15:04:05Z, or a resourceVersion`},
		"time to come":                 {"flowers", "at=2999-01-01T00:00:00Z", 400, `must not be in the future`},
		"revision to come":             {"flowers", "at=999999999", 400, "yet to come"},
		"moment of no store":           {"nothing", "at=" + oldest.ResourceVersion, 404, `"nothing" not found`},
		"time and revision":            {"flowers", "at=2026-01-01T00:00:00Z&resourceVersion=1", 400, "together"},
		"page of a past store":         {"flowers", "limit=1&resourceVersion=1", 400, "limit"},
		"too much at once":             {"flowers", "limit=101", 400, "100"},
		"less than nothing":            {"flowers", "limit=-1", 400, "100"},
		"forged continue":              {"flowers", "continue=abc", 400, "abc"},
		"continue of an earlier store": {"flowers", "continue=" + before.ResourceVersion, 410, "flowers"},
	} {
		err := askHistory(t, env.Admin(), namespace, test.store, test.query, &v1alpha1.StoreHistory{})
		var status *apierrors.StatusError
		if !errors.As(err, &status) || status.ErrStatus.Code != test.code || !strings.Contains(err.Error(), test.part) {
			t.Errorf("%s: got %v, want %d with %q", name, err, test.code, test.part)
		}
	}
}

// A store can be asked for when it is gone: who deleted it, and how it was. Another of
// its name hides it from the history, not from those who ask for its time.
func TestHistoryOfADeletedStore(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	first := create(t, namespace, newStore("flowers", engine))
	remove(t, first)
	history := getHistory(t, namespace, "flowers", "")
	if diff := cmp.Diff([]string{"admin delete 1", "admin update 1", "admin create 1"}, lines(history)); diff != "" {
		t.Errorf("history of the deleted store (-want +got):\n%s", diff)
	}
	deleted, created := history.Items[0], history.Items[2]
	at := func(moment string) (*v1alpha1.Store, error) {
		store := &v1alpha1.Store{}
		return store, askHistory(t, env.Admin(), namespace, "flowers", "at="+moment, store)
	}
	assertSame := func(want *v1alpha1.Store, moments ...string) {
		t.Helper()
		for _, moment := range moments {
			got, err := at(moment)
			if err != nil {
				t.Errorf("at %s: %v", moment, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("at %s (-want +got):\n%s", moment, diff)
			}
		}
	}
	assertSame(first, created.ResourceVersion, justBefore(history.Items[1].Time))
	for moment, part := range map[string]string{
		justBefore(created.Time): "it was created at ",
		deleted.ResourceVersion:  "it was deleted at " + deleted.Time.UTC().Format(time.RFC3339Nano),
	} {
		if _, err := at(moment); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), part) {
			t.Errorf("at %s: %v, want NotFound with %q", moment, err, part)
		}
	}
	if err := askHistory(t, env.Admin(), namespace, "flowers", "resourceVersion="+deleted.ResourceVersion, &v1alpha1.Store{}); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "was deleted") {
		t.Errorf("revision of the deletion: %v, want NotFound", err)
	}
	if _, err := rollBack(t, env.Admin(), first, first.ResourceVersion, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("rollback of the deleted store: %v, want NotFound", err)
	}

	second := create(t, namespace, newStore("flowers", engine))
	if _, err := rollBack(t, env.Admin(), second, first.ResourceVersion, metav1.CreateOptions{}); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "no revision") {
		t.Errorf("rollback to what another store of this name was: %v, want NotFound", err)
	}
	assertSame(first, created.ResourceVersion, justBefore(history.Items[1].Time))
	assertSame(second, second.ResourceVersion)
	if _, err := at(deleted.ResourceVersion); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "and the next was created at ") {
		t.Errorf("between the two: %v, want NotFound with both times", err)
	}
	if got := lines(getHistory(t, namespace, "flowers", "")); len(got) != 1 {
		t.Errorf("history of the second store: %v", got)
	}
}

// Who may not see a store may not see its past.
func TestNeverAgain05HistoryIsCheckedPerStore(t *testing.T) {
	t.Parallel()
	mine, yours, engine := env.NewNamespace(t), env.NewNamespace(t), newEngine(t)
	env.Allow(t, "history-tenant", mine, "platform-stores-view")
	create(t, mine, newStore("mine", engine))
	create(t, yours, newStore("yours", engine))
	tenant := env.User("history-tenant")
	harness.Eventually(t, patience, "the tenant's rights", untilAllowed(func() error {
		return askHistory(t, tenant, mine, "mine", "", &v1alpha1.StoreHistory{})
	}))
	for who, config := range map[string]*rest.Config{
		"another tenant": tenant, "user without rights": env.User("nobody"), "anonymous": env.Anonymous(),
		"anonymous to our server": env.Server().As(env.Anonymous()), "another tenant to our server": env.Server().As(tenant),
	} {
		for _, query := range []string{"", "limit=1", "at=" + time.Now().UTC().Format(time.RFC3339), "resourceVersion=1"} {
			for _, store := range []string{"yours", "nothing"} {
				if err := askHistory(t, config, yours, store, query, &v1alpha1.StoreHistory{}); !apierrors.IsForbidden(err) {
					t.Errorf("%s: history?%s of %s: %v, want Forbidden", who, query, store, err)
				}
			}
		}
	}
}

func TestHistoryAsTable(t *testing.T) {
	t.Parallel()
	k, engine := newKubectl(t), newEngine(t)
	k.run(manifest(engine), "create", "-f", "-")
	k.run("", "patch", "store", "flowers", "-p", `{"spec":{"plan":"large","displayName":"A"},"metadata":{"labels":{"a":"b","c":"d"}}}`)
	got := strings.Split(k.run("", "get", "store", "flowers", "--subresource=history"), "\n")
	if columns := strings.Join(strings.Fields(got[0]), " "); columns != "REVISION AGE USER VERB GENERATION CHANGES" {
		t.Errorf("columns %q", columns)
	}
	contains(t, got[1], "admin", "update", "2", "metadata.labels.a, metadata.labels.c, spec.displayName, and 1 more")
	contains(t, got[2], "admin", "create", "1")
	auditID := k.run("", "get", "store", "flowers", "--subresource=history", "-o", "jsonpath={.items[0].auditID}")
	wide := strings.Split(k.run("", "get", "store", "flowers", "--subresource=history", "-o", "wide"), "\n")
	if !strings.HasSuffix(strings.TrimSpace(wide[0]), "AUDIT-ID") || !strings.Contains(wide[0], "MANAGER") || !strings.Contains(wide[1], "kubectl-patch") || auditID == "" || !strings.HasSuffix(strings.TrimSpace(wide[1]), auditID) {
		t.Errorf("request %q is not in\n%s", auditID, strings.Join(wide, "\n"))
	}
	contains(t, k.run("", "get", "store", "flowers", "--subresource=history", "-o", "jsonpath={.items[0].verb} {.items[0].changes[2].path}"), "update spec.displayName")
}

// A history is a list to its reader, but not one of objects that have metadata.
func TestHistoryAsMetadataIsNotAcceptable(t *testing.T) {
	t.Parallel()
	namespace := env.NewNamespace(t)
	create(t, namespace, newStore("flowers", newEngine(t)))
	for _, kind := range []string{"PartialObjectMetadata", "PartialObjectMetadataList"} {
		for _, version := range []string{"v1", "v1beta1"} {
			status, body := send(t, env.Admin(), http.MethodGet, "/apis/platform.dev/v1alpha1/namespaces/"+namespace+"/stores/flowers/history",
				http.Header{"Accept": {"application/json;as=" + kind + ";v=" + version + ";g=meta.k8s.io"}})
			if status != http.StatusNotAcceptable || !strings.Contains(body, kind) {
				t.Errorf("%s %s: status %d, want %d: %s", kind, version, status, http.StatusNotAcceptable, body)
			}
		}
	}
}

// What the discovery and the API description say of the subresources is what
// clients are made from.
func TestSubresourcesAreDescribed(t *testing.T) {
	t.Parallel()
	resources, err := harness.Core(t, env.Admin()).Discovery().ServerResourcesForGroupVersion("platform.dev/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range resources.APIResources {
		got[r.Name] = r.Kind + " " + strings.Join(r.Verbs, ",")
	}
	for name, want := range map[string]string{
		"stores/credentials": "StoreCredentials get", "stores/history": "StoreHistory get", "stores/rollback": "StoreRollback create",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	status, body := send(t, env.Admin(), http.MethodGet, "/openapi/v3/apis/platform.dev/v1alpha1", nil)
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &document); status != http.StatusOK || err != nil {
		t.Fatalf("status %d, error %v", status, err)
	}
	const store = "/apis/platform.dev/v1alpha1/namespaces/{namespace}/stores/{name}"
	contains(t, string(document.Paths[store+"/rollback"]["post"]), "StoreRollback", `"#/components/schemas/dev.platform.v1alpha1.Store"`)
	contains(t, string(document.Paths[store+"/history"]["get"]), "StoreHistory")
	for _, parameter := range []string{"at", "continue", "limit", "resourceVersion"} {
		contains(t, string(document.Paths[store+"/history"]["get"])+string(document.Paths[store+"/history"]["parameters"]), `"name":"`+parameter+`"`)
	}
}
