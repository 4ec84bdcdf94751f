package provisioner

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// A watch begins with what there is, goes on where it ended, and begins anew when that
// is no longer possible. At each turn it tells what has changed and no more.
func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	const anew = `true NotOlderThan ""`
	for _, tc := range []struct {
		name  string
		turns []turn
	}{
		{"from where it ended", []turn{
			{anew, http.StatusOK, event("ADDED", "shop", "11") + initialEnd("12") + event("MODIFIED", "shop", "14"), true, ""},
			{`  "14"`, http.StatusOK, event("BOOKMARK", "", "20"), false, ""},
			{`  "20"`, http.StatusOK, event("DELETED", "shop", "21"), true, ""},
		}},
		{"anew", []turn{
			{anew, http.StatusOK, event("ADDED", "shop", "11") + initialEnd("12"), true, ""},
			{`  "12"`, http.StatusOK, `{"type":"ERROR","object":{"code":410,"reason":"Expired"}}`, false, ""},
			{anew, http.StatusOK, event("ADDED", "shop", "11") + initialEnd("30"), false, ""},
			{`  "30"`, http.StatusGone, `{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired"}`, false, ""},
			{anew, http.StatusOK, initialEnd("40"), true, ""},
		}},
		{"after it was cut off before all was told", []turn{
			{anew, http.StatusOK, event("ADDED", "shop", "11"), false, ""},
			{anew, http.StatusOK, event("ADDED", "shop", "11") + initialEnd("12"), true, ""},
		}},
		{"after an error", []turn{
			{anew, http.StatusOK, event("ADDED", "shop", "11") + initialEnd("12"), true, ""},
			{`  "12"`, http.StatusInternalServerError, "", false, "an error on the server"},
			{`  "12"`, http.StatusOK, "{", false, "unexpected end of JSON input"},
			{`  "12"`, http.StatusOK, event("MODIFIED", "shop", "13"), true, ""},
		}},
		{"with a list, where the API server sends no objects", []turn{
			{anew, http.StatusUnprocessableEntity, `{"kind":"Status","apiVersion":"v1","code":422,"reason":"Invalid"}`, true, ""},
			{`  "31"`, http.StatusOK, event("DELETED", "shop", "32"), true, ""},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var now turn
			w := watching(t)
			client := apiServer(t, func(rw http.ResponseWriter, r *http.Request) {
				query := r.URL.Query()
				if query.Get("watch") == "" {
					_, _ = io.WriteString(rw, `{"metadata":{"resourceVersion":"30"},"items":[{"metadata":{"namespace":"`+testNamespace+`","name":"shop","resourceVersion":"11"}}]}`)
					now = turn{`  "30"`, http.StatusOK, event("BOOKMARK", "", "31"), now.news, ""}
					return
				}
				if got := asked(query); got != now.asked {
					t.Errorf("asked for %s, want %s", got, now.asked)
				}
				if query.Get("labelSelector") != managed || r.URL.Path != "/api/v1/namespaces/"+testNamespace+"/configmaps" {
					t.Errorf("asked for %s", r.URL)
				}
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(now.status)
				_, _ = io.WriteString(rw, now.body)
			})
			s := &stream{client: client, into: &changes{watches: w, kind: kindNamed(t, "ConfigMap"), namespace: testNamespace}}
			for i, turn := range tc.turns {
				before := w.lastChange(testNamespace)
				now = turn
				var err error
				s.ended = func(ended error) { err = s.startOver(ended) }
				if s.watch(t.Context()); (err == nil) != (turn.failure == "") || (err != nil && !strings.Contains(err.Error(), turn.failure)) {
					t.Errorf("turn %d: error %v, want %q", i, err, turn.failure)
				}
				if news := w.lastChange(testNamespace) != before; news != turn.news {
					t.Errorf("turn %d: news %t, want %t", i, news, turn.news)
				}
			}
		})
	}
}

// turn is one watch, and what comes of it.
type turn struct {
	asked   string
	status  int
	body    string
	news    bool
	failure string
}

func asked(query url.Values) string {
	return fmt.Sprintf("%s %s %q", query.Get("sendInitialEvents"), query.Get("resourceVersionMatch"), query.Get("resourceVersion"))
}

func event(kind, name, version string) string {
	return fmt.Sprintf(`{"type":%q,"object":{"kind":"PartialObjectMetadata","metadata":{"name":%q,"resourceVersion":%q}}}`+"\n", kind, name, version)
}

// initialEnd is the bookmark after the objects that there are.
func initialEnd(version string) string {
	return fmt.Sprintf(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":%q,"annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n", version)
}

// apiServer is a client of a server that answers as the handler does.
func apiServer(t *testing.T, handler http.HandlerFunc) rest.Interface {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := rest.RESTClientFor(&rest.Config{
		Host: server.URL, APIPath: "/api",
		ContentConfig: rest.ContentConfig{GroupVersion: &schema.GroupVersion{Version: "v1"}, NegotiatedSerializer: scheme.Codecs.WithoutConversion()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
