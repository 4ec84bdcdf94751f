package proxy

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, url string
		want        string // "" is refused
	}{
		"stores":                       {http.MethodGet, "/k8s/apis/platform.dev/v1alpha1/namespaces/a/stores", "/apis/platform.dev/v1alpha1/namespaces/a/stores"},
		"a query":                      {http.MethodGet, "/k8s/apis/platform.dev/v1alpha1/stores?watch=true", "/apis/platform.dev/v1alpha1/stores"},
		"a change of a store":          {http.MethodPatch, "/k8s/apis/platform.dev/v1alpha1/namespaces/a/stores/b", "/apis/platform.dev/v1alpha1/namespaces/a/stores/b"},
		"a subresource":                {http.MethodGet, "/k8s/apis/platform.dev/v1alpha1/namespaces/a/stores/b/credentials", "/apis/platform.dev/v1alpha1/namespaces/a/stores/b/credentials"},
		"pods, to watch":               {http.MethodGet, "/k8s/api/v1/namespaces/a/pods?watch=true", "/api/v1/namespaces/a/pods"},
		"pods of all namespaces":       {http.MethodGet, "/k8s/api/v1/pods", ""},
		"a log, to follow":             {http.MethodGet, "/k8s/api/v1/namespaces/a/pods/b/log?container=c&follow=true", "/api/v1/namespaces/a/pods/b/log"},
		"a review of rights":           {http.MethodPost, "/k8s/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"},
		"another's review":             {http.MethodPost, "/k8s/apis/authorization.k8s.io/v1/subjectaccessreviews", ""},
		"a change of a pod":            {http.MethodDelete, "/k8s/api/v1/namespaces/a/pods/b", ""},
		"a shell":                      {http.MethodGet, "/k8s/api/v1/namespaces/a/pods/b/exec", ""},
		"a terminal":                   {http.MethodGet, "/k8s/api/v1/namespaces/a/pods/b/attach", ""},
		"a port of a pod":              {http.MethodGet, "/k8s/api/v1/namespaces/a/pods/b/portforward", ""},
		"a page of a pod's":            {http.MethodGet, "/k8s/api/v1/namespaces/a/pods/b/proxy/", ""},
		"below a log":                  {http.MethodGet, "/k8s/api/v1/namespaces/a/pods/b/log/c", ""},
		"a change of a log":            {http.MethodPost, "/k8s/api/v1/namespaces/a/pods/b/log", ""},
		"secrets":                      {http.MethodGet, "/k8s/api/v1/namespaces/a/secrets", ""},
		"a change of events":           {http.MethodPost, "/k8s/apis/events.k8s.io/v1/namespaces/a/events", ""},
		"an unknown method":            {"CONNECT", "/k8s/apis/platform.dev/v1alpha1/stores", ""},
		"dots":                         {http.MethodGet, "/k8s/apis/platform.dev/../../api/v1/secrets", ""},
		"escaped dots":                 {http.MethodGet, "/k8s/apis/platform.dev/%2e%2e/%2e%2e/api/v1/secrets", ""},
		"an escaped slash":             {http.MethodGet, "/k8s/apis/platform.dev%2f..%2f..%2fapi", ""},
		"two slashes":                  {http.MethodGet, "/k8s/apis//platform.dev/v1alpha1/stores", ""},
		"a slash at the end":           {http.MethodGet, "/k8s/version/", ""},
		"a group that begins the same": {http.MethodGet, "/k8s/apis/platform.dev.evil/v1/x", ""},
		"no prefix":                    {http.MethodGet, "/apis/platform.dev/v1alpha1/stores", ""},
		"a backslash":                  {http.MethodGet, `/k8s/apis/platform.dev/..%5c..%5capi`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := Allowed(test.method, parsed)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("leads to %q (%t), want %q", got, ok, test.want)
			}
		})
	}
}

// Whatever the path, what is passed on is a clean path of an allowed API, and
// every program reads it the same.
func FuzzAllowed(f *testing.F) {
	for _, seed := range []string{"apis/platform.dev/v1alpha1/stores", "apis/platform.dev/%2e%2e/x", "version", "api/v1/namespaces/a/pods", "apis/platform.dev/a//b", "apis/platform.dev/.", "api/v1/namespaces/%00/pods"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, below string) {
		parsed, err := url.Parse(Prefix + below)
		if err != nil {
			t.Skip()
		}
		got, ok := Allowed(http.MethodGet, parsed)
		if !ok {
			return
		}
		if path.Clean(got) != got || strings.ContainsAny(got, "%\\;?#") {
			t.Errorf("%q leads to the unclear path %q", below, got)
		}
		for _, api := range []string{"/apis/platform.dev", "/openapi/v3/apis/platform.dev", "/version", "/api/v1/namespaces", "/apis/events.k8s.io/v1"} {
			if got == api || strings.HasPrefix(got, api+"/") {
				return
			}
		}
		t.Errorf("%q leads to %q", below, got)
	})
}
