package blastradius

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
)

const group = "/apis/platform.dev/v1alpha1"

// Without PostgreSQL, the cluster goes on to discover and describe our API and to read
// what the servers remember. Whatever needs the database is refused in words that say
// what is wrong and what to do, and everything is as before when it is back.
func TestClusterOutlivesTheDatabase(t *testing.T) {
	database := postgrestest.StartServer(t)
	env.Balance(t, env.StartServer(t, database.DSN()), env.StartServer(t, database.DSN()))
	namespace := env.NewNamespace(t)
	store := newStore(t, namespace)
	object := group + "/namespaces/" + namespace + "/stores/" + store.Name
	read := map[string]string{
		"resources":   group,
		"description": "/openapi/v3" + group,
		"list":        group + "/stores?resourceVersion=0",
		"get":         object + "?resourceVersion=0",
	}
	written := map[string]struct{ method, path, contentType, body string }{
		"create":            {http.MethodPost, group + "/namespaces/" + namespace + "/stores", "application/json", `{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"generateName":"new-"},"spec":{"engine":"` + store.Spec.Engine + `"}}`},
		"patch":             {http.MethodPatch, object, "application/merge-patch+json", `{"spec":{"suspend":true}}`},
		"apply":             {http.MethodPatch, object + "?fieldManager=test", "application/apply-patch+yaml", `{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"name":"flowers"},"spec":{"suspend":true}}`},
		"status":            {http.MethodPatch, object + "/status", "application/merge-patch+json", `{"status":{"version":"1.0"}}`},
		"roll back":         {http.MethodPost, object + "/rollback", "application/json", `{"apiVersion":"platform.dev/v1alpha1","kind":"StoreRollback","spec":{"resourceVersion":"` + store.ResourceVersion + `"}}`},
		"delete":            {http.MethodDelete, object, "", ""},
		"delete collection": {http.MethodDelete, group + "/namespaces/" + namespace + "/stores", "", ""},
		"consistent list":   {http.MethodGet, group + "/stores", "", ""},
		"history":           {http.MethodGet, object + "/history", "", ""},
	}

	database.Stop()
	// Longer than any probe of the chart takes to act.
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		for what, path := range read {
			if status, body := send(t, http.MethodGet, path, "", ""); status != http.StatusOK {
				t.Fatalf("%s without a database: status %d: %s", what, status, body)
			}
		}
		if !discovered(t) {
			t.Fatal("the cluster does not discover the API without a database")
		}
	}
	for what, request := range written {
		t.Run(what, func(t *testing.T) {
			begin := time.Now()
			status, body := send(t, request.method, request.path, request.contentType, request.body)
			var answer metav1.Status
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("status %d, and no object: %s", status, body)
			}
			if status != http.StatusServiceUnavailable || answer.Details == nil || answer.Details.RetryAfterSeconds < 1 ||
				!strings.Contains(answer.Message, "the database is not available") || !strings.Contains(answer.Message, "try again") {
				t.Errorf("status %d: %s", status, body)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the refusal took %s", took)
			}
		})
	}

	if err := database.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "writes", func(context.Context) (bool, error) {
		status, _ := send(t, http.MethodPatch, object, "application/merge-patch+json", `{"spec":{"suspend":true}}`)
		return status == http.StatusOK, nil
	})
	if status, body := send(t, http.MethodGet, group+"/stores", "", ""); status != http.StatusOK || !strings.Contains(body, `"suspend":true`) {
		t.Errorf("listing afterwards: status %d: %s", status, body)
	}
}

// discovered reports whether the cluster tells of our API what our servers say now, not
// what it remembers.
func discovered(t *testing.T) bool {
	t.Helper()
	status, body := request(t, env.Admin(), http.MethodGet, "/apis", http.Header{"Accept": {"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}}, "")
	var list apidiscoveryv2.APIGroupDiscoveryList
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("discovery: status %d, %v: %s", status, err, body)
	}
	for _, item := range list.Items {
		if item.Name == "platform.dev" && len(item.Versions) == 1 {
			return item.Versions[0].Freshness == apidiscoveryv2.DiscoveryFreshnessCurrent
		}
	}
	return false
}

// send makes one request of an administrator and returns its status and body.
func send(t *testing.T, method, path, contentType, body string) (int, string) {
	t.Helper()
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return request(t, env.Admin(), method, path, header, body)
}

func request(t *testing.T, config *rest.Config, method, path string, header http.Header, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return harness.Request(ctx, t, config, method, path, header, body)
}
