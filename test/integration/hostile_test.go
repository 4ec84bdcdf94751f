package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/harness"
)

// post sends a body and returns the status that it is answered with.
func post(t *testing.T, config *rest.Config, method, path, contentType, body string) (int, string) {
	t.Helper()
	return harness.Request(t.Context(), t, config, method, path, http.Header{"Content-Type": {contentType}}, body)
}

// What is too large, too deep or too many is refused in words, quickly, and the memory
// of the server does not grow with it.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	namespace, engine := env.NewNamespace(t), newEngine(t)
	server := env.StartServer(t, env.Database())
	admin := server.As(env.Admin())
	create(t, namespace, newStore("flowers", engine))
	path := "/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores"
	store := func(metadata, spec string) string {
		return `{"apiVersion":"platform.dev/v1alpha1","kind":"Store","metadata":{"name":"hostile"` + metadata + `},"spec":{"engine":"` + engine.Name + `"` + spec + `}}`
	}
	many := func(count int, format string) string {
		var text strings.Builder
		for i := range count {
			if i > 0 {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, format, i)
		}
		return text.String()
	}
	var bomb strings.Builder
	bomb.WriteString("apiVersion: platform.dev/v1alpha1\nkind: Store\nmetadata: {name: hostile}\nspec:\n  values:\n    a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&bomb, "    a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	const jsonType, patchType, maxMiB = "application/json", "application/json-patch+json", 256
	before := residentMiB(t, server.PID())
	for name, test := range map[string]struct {
		method, path, contentType, body string
		want                            int
		says                            string
	}{
		"a body of 4 MiB":           {http.MethodPost, path, jsonType, store(`,"annotations":{"a":"`+strings.Repeat("x", 4<<20)+`"}`, ""), http.StatusRequestEntityTooLarge, "limit is 1048576"},
		"annotations of 300 KiB":    {http.MethodPost, path, jsonType, store(`,"annotations":{"a":"`+strings.Repeat("x", 300<<10)+`"}`, ""), http.StatusUnprocessableEntity, "metadata.annotations"},
		"60,000 labels":             {http.MethodPost, path, jsonType, store(`,"labels":{`+many(60_000, `"l%d":"x"`)+`}`, ""), http.StatusUnprocessableEntity, "metadata.labels"},
		"20,000 finalizers":         {http.MethodPost, path, jsonType, store(`,"finalizers":[`+many(20_000, `"example.com/f%d"`)+`]`, ""), http.StatusUnprocessableEntity, "metadata.finalizers"},
		"15,000 owners":             {http.MethodPost, path, jsonType, store(`,"ownerReferences":[`+many(15_000, `{"apiVersion":"v1","kind":"A","name":"a","uid":"%d"}`)+`]`, ""), http.StatusUnprocessableEntity, "metadata.ownerReferences"},
		"values of 900 KiB":         {http.MethodPost, path, jsonType, store("", `,"values":{"a":"`+strings.Repeat("x", 900<<10)+`"}`), http.StatusUnprocessableEntity, "spec.values"},
		"values 9,000 deep":         {http.MethodPost, path, jsonType, store("", `,"values":{"a":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}`), http.StatusUnprocessableEntity, "spec.values"},
		"JSON 500,000 deep":         {http.MethodPost, path, jsonType, store("", `,"values":{"a":`+strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)+`}`), http.StatusBadRequest, "max depth"},
		"YAML of aliases":           {http.MethodPost, path, "application/yaml", bomb.String(), http.StatusBadRequest, "excessive aliasing"},
		"YAML a million deep":       {http.MethodPost, path, "application/yaml", "a: " + strings.Repeat("[", 1e6), http.StatusBadRequest, "depth"},
		"a patch of copies":         {http.MethodPatch, path + "/flowers", patchType, `[{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", 900<<10) + `"}},` + many(1000, `{"op":"copy","from":"/metadata/annotations","path":"/metadata/annotations/a%d"}`) + `]`, http.StatusUnprocessableEntity, ""},
		"a patch of 15,000 changes": {http.MethodPatch, path + "/flowers", patchType, `[` + many(15_000, `{"op":"add","path":"/metadata/labels/a%d","value":"b"}`) + `]`, http.StatusRequestEntityTooLarge, "10000"},
		"a protobuf":                {http.MethodPost, path, "application/vnd.kubernetes.protobuf", "k8s\x00" + strings.Repeat("\xff", 1000), http.StatusUnsupportedMediaType, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Logf("the body has %d KiB", len(test.body)>>10)
			begin := time.Now()
			status, body := post(t, admin, test.method, test.path, test.contentType, test.body)
			var answer metav1.Status
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("status %d, and no object: %.300s", status, body)
			}
			if status != test.want || !strings.Contains(answer.Message, test.says) {
				t.Errorf("status %d, want %d: %.500s", status, test.want, body)
			}
			if len(body) > 64<<10 {
				t.Errorf("the refusal has %d bytes", len(body))
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			if more := residentMiB(t, server.PID()) - before; more > maxMiB {
				t.Errorf("the server has %d MiB more than before, want at most %d", more, maxMiB)
			}
		})
	}
}

// residentMiB is the memory that a process holds.
func residentMiB(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(content), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize() >> 20
}

// Tokens and revisions of another list, or of nobody, are refused or are a place in the
// list that is asked for: never a way into another namespace or resource.
func TestHostilePositions(t *testing.T) {
	t.Parallel()
	mine, yours, engine := env.NewNamespace(t), env.NewNamespace(t), newEngine(t)
	if mine > yours { // what a page runs on into comes later
		mine, yours = yours, mine
	}
	env.Allow(t, "tenant-of-positions", mine, "platform-stores-view")
	for _, namespace := range []string{mine, yours} {
		for _, name := range []string{"a", "b", "c"} {
			create(t, namespace, newStore(name+"-"+namespace, engine))
		}
	}
	tenant := env.User("tenant-of-positions")
	harness.Eventually(t, patience, "the tenant's rights", untilAllowed(func() error {
		_, err := harness.Platform(t, tenant).Stores(mine).List(t.Context(), metav1.ListOptions{})
		return err
	}))
	page := func(path string) string {
		_, body := send(t, env.Admin(), http.MethodGet, path+"?limit=1", nil)
		var list metav1.PartialObjectMetadataList
		if err := json.Unmarshal([]byte(body), &list); err != nil || list.Continue == "" {
			t.Fatalf("no page: %v: %s", err, body)
		}
		return list.Continue
	}
	token := func(rv, start string) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"v":"meta.k8s.io/v1","rv":%s,"start":%q}`, rv, start))
	}
	const group = "/apis/platform.dev/v1alpha1"
	createEngine(t, harness.Platform(t, env.Admin())) // two are more than a page
	path := group + "/namespaces/" + mine + "/stores"
	for name, test := range map[string]struct {
		query string
		want  []int
	}{
		"a token of another namespace":      {"limit=9&continue=" + page(group+"/namespaces/"+yours+"/stores"), []int{http.StatusOK}},
		"a token of all namespaces":         {"limit=9&continue=" + page(group+"/stores"), []int{http.StatusOK}},
		"a token of engines":                {"limit=9&continue=" + page(group+"/engines"), []int{http.StatusOK}},
		"a token that climbs":               {"limit=9&continue=" + token("-1", "../"+yours+"/a"), []int{http.StatusBadRequest}},
		"a token with a NUL":                {"limit=9&continue=" + token("-1", "a\x00b"), []int{http.StatusBadRequest}},
		"a token of the future":             {"limit=9&continue=" + token("9223372036854775807", "a"), []int{http.StatusGatewayTimeout}},
		"a token of long ago":               {"limit=9&continue=" + token("1", "a"), []int{http.StatusOK, http.StatusGone}},
		"a token of nonsense":               {"limit=9&continue=%00", []int{http.StatusBadRequest}},
		"a token with another revision":     {"limit=9&resourceVersion=7&continue=" + token("-1", "a"), []int{http.StatusBadRequest}},
		"a revision that cannot be":         {"resourceVersionMatch=Exact&resourceVersion=18446744073709551615", []int{http.StatusBadRequest, http.StatusGatewayTimeout}},
		"a revision below zero":             {"resourceVersion=-1", []int{http.StatusBadRequest}},
		"a revision of 10,000 digits":       {"resourceVersion=" + strings.Repeat("9", 10_000), []int{http.StatusBadRequest}},
		"a limit below zero":                {"limit=-1", []int{http.StatusOK, http.StatusBadRequest}},
		"a watch from what cannot be":       {"watch=true&timeoutSeconds=1&resourceVersion=18446744073709551615", []int{http.StatusOK, http.StatusBadRequest}},
		"a selector of 10,000 requirements": {"fieldSelector=" + strings.TrimSuffix(strings.Repeat("spec.plan!%3Dx,", 10_000), ","), []int{http.StatusOK}},
		"a selector of 500,000 letters":     {"labelSelector=a%3D" + strings.Repeat("x", 500_000), []int{http.StatusBadRequest}},
		"a selector with a NUL":             {"fieldSelector=spec.plan%3D%00", []int{http.StatusOK, http.StatusBadRequest}},
		"a name with a NUL":                 {"fieldSelector=metadata.name%3Da%00b", []int{http.StatusOK, http.StatusBadRequest}},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			for via, config := range map[string]*rest.Config{"through the cluster": tenant, "directly": env.Server().As(tenant)} {
				status, body := send(t, config, http.MethodGet, path+"?"+test.query, nil)
				if !slices.Contains(test.want, status) {
					t.Errorf("%s: status %d, want one of %d: %.300s", via, status, test.want, body)
				}
				if status == http.StatusOK && strings.Contains(body, yours) {
					t.Errorf("%s: another tenant's stores are shown: %.300s", via, body)
				}
			}
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// A name that none can have is not found, or is refused.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const group = "/apis/platform.dev/v1alpha1"
	path := group + "/namespaces/" + env.NewNamespace(t) + "/stores"
	for name, path := range map[string]string{
		"a NUL":              path + "/a%00b",
		"no UTF-8":           path + "/%ff",
		"a slash":            path + "/a%2fb",
		"a long name":        path + "/" + strings.Repeat("a", 5000),
		"history of a NUL":   path + "/a%00b/history",
		"namespace of a NUL": group + "/namespaces/a%00b/stores",
	} {
		t.Run(name, func(t *testing.T) {
			status, body := send(t, env.Admin(), http.MethodGet, path, nil)
			if status < 400 && name != "namespace of a NUL" || status >= 500 {
				t.Errorf("status %d: %.300s", status, body)
			}
		})
	}
}
