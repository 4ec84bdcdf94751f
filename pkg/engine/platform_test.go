package engine

import (
	"testing"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		platform              Platform
		host, path            string
		url, admin, authority string
	}{
		"default port":          {Platform{Scheme: "https"}, "a.example.com", "/app", "https://a.example.com", "https://a.example.com/app", "a.example.com"},
		"default port, spelled": {Platform{Scheme: "https", Port: 443}, "a.example.com", "/app", "https://a.example.com", "https://a.example.com/app", "a.example.com"},
		"own port":              {Platform{Scheme: "http", Port: 8080}, "a.localhost", "app", "http://a.localhost:8080", "http://a.localhost:8080/app", "a.localhost:8080"},
		"the other's port":      {Platform{Scheme: "http", Port: 443}, "a.localhost", "", "http://a.localhost:443", "http://a.localhost:443/", "a.localhost:443"},
		"no host yet":           {Platform{Scheme: "http"}, "", "/app", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, s := testEngine(), testStore()
			e.Spec.Storefront.AdminPath, s.Spec.Host = tc.path, tc.host
			if got := tc.platform.URL(s); got != tc.url {
				t.Errorf("URL: got %q, want %q", got, tc.url)
			}
			if got := tc.platform.AdminURL(e, s); got != tc.admin {
				t.Errorf("AdminURL: got %q, want %q", got, tc.admin)
			}
			if got := tc.platform.HostPort(s); got != tc.authority {
				t.Errorf("HostPort: got %q, want %q", got, tc.authority)
			}
		})
	}
}

func TestResolveDefaults(t *testing.T) {
	t.Parallel()
	e := testEngine()
	version, err := Version(e, "")
	if err != nil || version.Name != "2.0" {
		t.Errorf("Version: got %v, %v, want 2.0", version, err)
	}
	plan, err := Plan(e, "")
	if err != nil || plan.Name != "small" {
		t.Errorf("Plan: got %v, %v, want small", plan, err)
	}
}

func TestCheckAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		check  v1alpha1.StorefrontCheck
		status int
		body   string
		want   string
	}{
		"status alone":      {v1alpha1.StorefrontCheck{Path: "/h", Status: 204}, 204, "", ""},
		"default status":    {v1alpha1.StorefrontCheck{Path: "/h"}, 200, "", ""},
		"body":              {v1alpha1.StorefrontCheck{Path: "/h", Contains: "cart"}, 200, "a cart", ""},
		"wrong status":      {v1alpha1.StorefrontCheck{Path: "/h"}, 503, "cart", "GET /h answered 503, not 200"},
		"a reason":          {v1alpha1.StorefrontCheck{Path: "/r"}, 503, `{"ready":false,"reason":"region: there\n is none"}`, "GET /r answered 503, not 200: region: there is none"},
		"no reason":         {v1alpha1.StorefrontCheck{Path: "/r"}, 503, `{"reason":{}}`, "GET /r answered 503, not 200"},
		"redirect is wrong": {v1alpha1.StorefrontCheck{Path: "/"}, 301, "", "GET / answered 301, not 200"},
		"wrong body":        {v1alpha1.StorefrontCheck{Path: "/h", Contains: "cart"}, 200, "none", `GET /h answered 200 without "cart" in the body`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := CheckAnswer(tc.check, tc.status, []byte(tc.body))
			if (err == nil) != (tc.want == "") || (err != nil && err.Error() != tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
