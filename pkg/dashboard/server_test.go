package dashboard

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// jwt is a token that says when it ends.
func jwt(expires time.Time) string {
	payload := fmt.Sprintf(`{"exp":%d}`, expires.Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".sig"
}

// Every answer is protected, whatever it is and whatever the kube API says.
func TestEveryAnswerIsProtected(t *testing.T) {
	t.Parallel()
	c := startCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		for name := range securityHeaders {
			w.Header().Set(name, "*")
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Location", "https://evil.example.com")
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script>alert(1)</script>")
	})
	r := startReplica(t, c, newKeys(t))
	signedIn, stranger := r.browser(), r.browser()
	signedIn.signIn("token")
	for _, test := range []struct {
		by           *browser
		method, path string
		want         int
		cached       string
	}{
		{stranger, http.MethodGet, "/", http.StatusOK, "no-store"},
		{stranger, http.MethodGet, "/nothing.js", http.StatusNotFound, "no-store"},
		{stranger, http.MethodPost, "/", http.StatusMethodNotAllowed, "no-store"},
		{stranger, http.MethodGet, "/config", http.StatusOK, "no-store"},
		{stranger, http.MethodGet, "/login", http.StatusNotFound, "no-store"},
		{stranger, http.MethodGet, "/session", http.StatusUnauthorized, "no-store"},
		{stranger, http.MethodGet, storesPath, http.StatusUnauthorized, "no-store"},
		{signedIn, http.MethodGet, "/session", http.StatusOK, "no-store"},
		{signedIn, http.MethodPut, "/session", http.StatusMethodNotAllowed, "no-store"},
		{signedIn, http.MethodGet, storesPath, http.StatusOK, "no-store"},
		{signedIn, http.MethodGet, "/k8s/api/v1/secrets", http.StatusNotFound, "no-store"},
	} {
		response, _ := test.by.do(test.method, test.path, "", test.want)
		what := test.method + " " + test.path
		for name, value := range securityHeaders {
			if got := response.Header.Values(name); !slices.Equal(got, []string{value}) {
				t.Errorf("%s: %s is %q", what, name, got)
			}
		}
		if response.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: browsers may come back without TLS", what)
		}
		if got := response.Header.Get("Cache-Control"); got != test.cached {
			t.Errorf("%s: Cache-Control is %q, want %q", what, got, test.cached)
		}
		for _, name := range []string{"Access-Control-Allow-Origin", "Set-Cookie", "Location"} {
			if got := response.Header.Get(name); got != "" {
				t.Errorf("%s: the header %s: %s came through", what, name, got)
			}
		}
	}
}

// Of what a browser sends, only what a request to the kube API needs gets there.
func TestOnlyTheUserSpeaksToTheCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t, stream)
	b := startReplica(t, c, newKeys(t)).browser()
	b.signIn("token")
	for _, name := range []string{
		"Authorization", "Cookie", "Forwarded", "Impersonate-Extra-Scopes", "Impersonate-Group", "Impersonate-Uid", "Impersonate-User",
		"Proxy-Authorization", "Te", "X-Forwarded-For", "X-Remote-Extra-A", "X-Remote-Group", "X-Remote-User",
	} {
		b.header.Set(name, "trailers")
	}
	b.header.Set("Accept", "application/json")
	b.header.Set("User-Agent", "browser")
	b.do(http.MethodPatch, storesPath+"?fieldManager=dashboard", `{"a":"b"}`, http.StatusOK)
	got := c.last()
	want := []string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "User-Agent"}
	if names := slices.Sorted(maps.Keys(got.Header)); !slices.Equal(names, want) {
		t.Errorf("the cluster got the headers %q, want %q", names, want)
	}
	if c.lastToken() != "token" || got.URL.RawQuery != "fieldManager=dashboard" || got.Method != http.MethodPatch {
		t.Errorf("the cluster got %s %s with token %q", got.Method, got.URL, c.lastToken())
	}
	if agent := got.UserAgent(); !strings.HasPrefix(agent, "stores-dashboard/") || !strings.HasSuffix(agent, " browser") {
		t.Errorf("the cluster's audit log has the agent %q", agent)
	}
}

// What is too large, or no plain HTTP, is refused before the kube API hears of it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := startCluster(t, stream)
	b := startReplica(t, c, newKeys(t)).browser()
	b.signIn("token")
	before := len(c.seen)
	for name, test := range map[string]struct {
		path, body string
		want       int
	}{
		"a body that is too large":  {storesPath, strings.Repeat("a", maxBody+1), http.StatusRequestEntityTooLarge},
		"a token that is too large": {"/session", `{"token":"` + strings.Repeat("a", maxToken) + `"}`, http.StatusRequestEntityTooLarge},
		"a token of two lines":      {"/session", `{"token":"a\nb"}`, http.StatusUnauthorized},
		"an empty token":            {"/session", `{"token":" "}`, http.StatusUnauthorized},
		"no token":                  {"/session", `token`, http.StatusBadRequest},
		"two tokens":                {"/session", `{"token":"a"}{"token":"b"}`, http.StatusBadRequest},
	} {
		t.Log(name)
		b.do(http.MethodPost, test.path, test.body, test.want)
	}
	if len(c.seen) != before {
		t.Errorf("the kube API heard of %d requests", len(c.seen)-before)
	}
	b.do(http.MethodPost, "/session", `{"token":"`+strings.Repeat("a", 30_000)+`"}`, http.StatusRequestEntityTooLarge)
}

// Nothing but HTTP reaches the kube API: a protocol that follows could do anything.
func TestUpgradesAreRefused(t *testing.T) {
	t.Parallel()
	handler := startReplica(t, startCluster(t, stream), newKeys(t)).Config.Handler
	for name, test := range map[string]*http.Request{
		"a websocket": {Method: http.MethodGet, Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}},
		"a tunnel":    {Method: http.MethodConnect, Header: http.Header{}},
	} {
		test.URL = &url.URL{Path: storesPath}
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, test); w.Code != http.StatusBadRequest {
			t.Errorf("%s: answered %d %s", name, w.Code, w.Body)
		}
	}
}

// A watch ends with its token, as any watch ends, and so not with an error.
func TestWatchesEndWithTheToken(t *testing.T) {
	t.Parallel()
	c := startCluster(t, stream)
	b := startReplica(t, c, newKeys(t)).browser()
	expires := time.Now().Add(3 * time.Second).Truncate(time.Second)
	b.signIn(jwt(expires))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch := b.open(ctx, http.MethodGet, storesPath+"?watch=true", "")
	events := bufio.NewReader(watch.Body)
	if line, err := events.ReadString('\n'); err != nil || time.Now().After(expires) {
		t.Fatalf("the first event came as %q, %v, at the end of the token", line, err)
	}
	if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
		t.Errorf("the watch ended with %q, %v", rest, err)
	}
	if late := time.Since(expires); late < 0 || late > 2*time.Second {
		t.Errorf("the watch ended %s after the token", late)
	}
	b.do(http.MethodGet, storesPath, "", http.StatusUnauthorized)
}

// Whoever signs out, or in again, has nothing left that streams with the token of
// before.
func TestStreamsEndWithTheSession(t *testing.T) {
	t.Parallel()
	for what, path := range map[string]string{
		"a watch":        storesPath + "?watch=true",
		"a followed log": "/k8s/api/v1/namespaces/a/pods/b/log?container=c&follow=true",
	} {
		for how, end := range map[string]func(b *browser){
			"signing out":      func(b *browser) { b.do(http.MethodDelete, "/session", "", http.StatusNoContent) },
			"signing in again": func(b *browser) { b.signIn("second") },
		} {
			t.Run(what+" and "+how, func(t *testing.T) {
				t.Parallel()
				c := startCluster(t, stream)
				b := startReplica(t, c, newKeys(t)).browser()
				b.signIn("first")
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				answer := b.open(ctx, http.MethodGet, path, "")
				end(b)
				if content, err := io.ReadAll(answer.Body); err != nil || string(content) != "event\n" {
					t.Errorf("it ended with %q, %v", content, err)
				}
			})
		}
	}
}

// Whoever signs in again speaks with the new token.
func TestTheNewTokenCounts(t *testing.T) {
	t.Parallel()
	c := startCluster(t, stream)
	b := startReplica(t, c, newKeys(t)).browser()
	b.signIn("first")
	b.signIn("second")
	b.do(http.MethodGet, storesPath, "", http.StatusOK)
	if c.lastToken() != "second" {
		t.Errorf("the cluster got the token %q", c.lastToken())
	}
}

// All replicas with the same key continue a session; it is worth nothing elsewhere.
func TestReplicasShareSessions(t *testing.T) {
	t.Parallel()
	c := startCluster(t, stream)
	keys := newKeys(t)
	b := startReplica(t, c, keys).browser()
	b.signIn("token")
	cookies := b.client.Jar
	for name, test := range map[string]struct {
		replica *replica
		want    int
	}{
		"another replica":   {startReplica(t, c, keys), http.StatusOK},
		"another dashboard": {startReplica(t, c, newKeys(t)), http.StatusUnauthorized},
	} {
		t.Log(name)
		other := test.replica.browser()
		other.client.Jar = cookies
		other.do(http.MethodGet, "/session", "", test.want)
	}
}

// An outage signs nobody out; a token that the cluster refuses does.
func TestOnlyARefusalSignsOut(t *testing.T) {
	t.Parallel()
	c := startCluster(t, stream)
	b := startReplica(t, c, newKeys(t)).browser()
	b.signIn("token")
	if _, answer := b.do(http.MethodGet, "/session", "", http.StatusOK); !strings.Contains(answer, `"username":"alice"`) || !strings.Contains(answer, `"groups":["florists"]`) || !strings.Contains(answer, `"expiresAt":"`) {
		t.Errorf("the session is %s", answer)
	}
	c.refuse("token")
	b.do(http.MethodGet, "/session", "", http.StatusUnauthorized)
	if b.cookies() != 0 {
		t.Error("the browser keeps a refused session")
	}
	b.signIn("another")
	c.Close()
	for _, path := range []string{"/session", storesPath} {
		response, answer := b.do(http.MethodGet, path, "", http.StatusServiceUnavailable)
		if response.Header.Get("Retry-After") == "" || !strings.Contains(answer, `"kind":"Status"`) {
			t.Errorf("GET %s: %v %s", path, response.Header, answer)
		}
	}
	if b.cookies() == 0 {
		t.Error("the outage has signed the user out")
	}
}
