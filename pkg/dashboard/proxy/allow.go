package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// rule allows methods on paths. In a path, "*" stands for one segment and a last
// "**" for any number of them, also none.
type rule struct {
	methods []string
	path    string
}

var (
	read  = []string{http.MethodGet, http.MethodHead}
	write = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	post  = []string{http.MethodPost}
)

// rules is all of the kube API that the dashboard passes on. The user's own rights
// decide about the rest; this list keeps a page that was taken over by an attacker
// from everything that a shop's owner has no need of, such as secrets and exec.
var rules = []rule{
	{write, "apis/platform.dev/**"},
	{read, "openapi/v3/apis/platform.dev/**"},
	{read, "version"},
	{read, "api/v1/namespaces"},
	// What a store's pods do and write: to look at, never to reach into.
	{read, "api/v1/namespaces/*/pods"},
	{read, "api/v1/namespaces/*/pods/*/log"},
	{read, "api/v1/namespaces/*/events"},
	{read, "apis/events.k8s.io/v1/**"},
	{post, "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"},
	{post, "apis/authorization.k8s.io/v1/selfsubjectrulesreviews"},
	{post, "apis/authentication.k8s.io/v1/selfsubjectreviews"},
}

// Allowed returns the path of the kube API that a request below /k8s/ leads to, and
// whether the dashboard passes such requests on. A path that two programs could
// read differently, by its escapes, dots or empty segments, leads nowhere.
func Allowed(method string, u *url.URL) (path string, ok bool) {
	path, below := strings.CutPrefix(u.EscapedPath(), Prefix)
	if !below {
		return "", false
	}
	segments := strings.Split(path, "/")
	if !slices.ContainsFunc(segments, unclear) {
		for _, r := range rules {
			if slices.Contains(r.methods, method) && r.matches(segments) {
				return "/" + path, true
			}
		}
	}
	return "", false
}

// plain are the characters of names in the kube API's paths.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

// unclear is true for a segment that is not plainly a name.
func unclear(segment string) bool {
	if segment == "" || segment == "." || segment == ".." {
		return true
	}
	return strings.ContainsFunc(segment, func(c rune) bool { return !strings.ContainsRune(plain, c) })
}

func (r rule) matches(segments []string) bool {
	pattern := strings.Split(r.path, "/")
	for i, want := range pattern {
		if want == "**" {
			return true
		}
		if i == len(segments) || want != "*" && want != segments[i] {
			return false
		}
	}
	return len(pattern) == len(segments)
}
