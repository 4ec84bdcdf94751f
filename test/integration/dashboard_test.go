package integration

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/dashboard"
	"platform.dev/stores/pkg/dashboard/assets"
	"platform.dev/stores/pkg/dashboard/kube"
	"platform.dev/stores/pkg/dashboard/session"
	"platform.dev/stores/test/internal/harness"
)

// dashboardAt is a dashboard on HTTPS in front of the cluster.
type dashboardAt struct {
	*httptest.Server
	t   testing.TB
	api *kube.API
}

func startDashboard(t testing.TB) *dashboardAt {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, env.Admin().CAData, 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := kube.New(env.Admin().Host, ca)
	if err != nil {
		t.Fatal(err)
	}
	files, err := assets.New(fstest.MapFS{"index.html": {Data: []byte("<title>Stores</title>")}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := session.RandomKeys()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	external := &url.URL{Scheme: "https", Host: server.Listener.Addr().String()}
	server.Config.Handler = dashboard.New(dashboard.Config{
		API: api, Assets: files, ExternalURL: external,
		Cookies:    &session.Cookies{Keys: keys, Secure: true, Now: time.Now},
		MaxSession: time.Hour, MaxStream: time.Minute, DefaultNamespace: "default", Now: time.Now,
	})
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return &dashboardAt{server, t, api}
}

// browser is one browser: it keeps cookies, and says where its requests come from.
type browser struct {
	*dashboardAt
	client *http.Client
	header http.Header
}

func (d *dashboardAt) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	client := *d.Client()
	client.Jar = jar
	return &browser{d, &client, http.Header{
		"Sec-Fetch-Site": {"same-origin"}, "Origin": {d.URL}, "X-Stores-Request": {"dashboard"},
	}}
}

func (b *browser) send(ctx context.Context, method, path, body string, header http.Header) *http.Response {
	b.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, b.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header = maps.Clone(header)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// do sends a request as the dashboard's own page does and returns the whole answer.
func (b *browser) do(method, path, body string) (*http.Response, string) {
	b.t.Helper()
	response := b.send(b.t.Context(), method, path, body, b.header)
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response, string(content)
}

func (b *browser) signIn(token string) *http.Response {
	b.t.Helper()
	response, answer := b.do(http.MethodPost, "/session", `{"token":"`+token+`"}`)
	if response.StatusCode != http.StatusNoContent {
		b.t.Fatalf("signing in: %s %s", response.Status, answer)
	}
	return response
}

// newTokenOf returns a token of a service account that may view, or edit, the
// stores of its namespace.
func newTokenOf(t testing.TB, namespace, name string, editor bool) string {
	t.Helper()
	core := harness.Core(t, env.Admin())
	if _, err := core.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	user := "system:serviceaccount:" + namespace + ":" + name
	if editor {
		env.Allow(t, user, namespace, "platform-stores-edit")
	}
	env.Allow(t, user, namespace, "platform-stores-view") // what is waited for comes last
	token, err := core.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stores := harness.Platform(t, env.User(user)).Stores(namespace)
	harness.Eventually(t, patience, "the user's rights", untilAllowed(func() error {
		_, err := stores.List(t.Context(), metav1.ListOptions{})
		return err
	}))
	return token.Status.Token
}

func storesIn(namespace string) string {
	return "/k8s/apis/platform.dev/v1alpha1/namespaces/" + namespace + "/stores"
}

func manifestOf(t testing.TB, namespace, name string) string {
	t.Helper()
	store := newStore(name, newEngine(t))
	store.Spec.Host = name + "." + namespace + ".example.com"
	store.APIVersion, store.Kind = "platform.dev/v1alpha1", "Store"
	raw, err := json.Marshal(store)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Whatever a script on the page can read, the token is not in it.
func TestNeverAgain06TokenIsOutOfReachOfScripts(t *testing.T) {
	namespace := env.NewNamespace(t)
	token := newTokenOf(t, namespace, "keeper", true)
	b := startDashboard(t).browser()
	for _, cookie := range b.signIn(token).Cookies() {
		if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || !strings.HasPrefix(cookie.Name, "__Host-") || cookie.Path != "/" {
			t.Errorf("scripts or other sites can reach the cookie: %s", cookie)
		}
		sealed, _ := base64.RawURLEncoding.DecodeString(cookie.Value)
		if strings.Contains(cookie.Value+string(sealed), token) {
			t.Error("the cookie holds the token as it is")
		}
	}
	for _, path := range []string{"/", "/session", "/config", storesIn(namespace), "/k8s/version", "/stores/some"} {
		response, body := b.do(http.MethodGet, path, "")
		if response.StatusCode != http.StatusOK && path != "/stores/some" {
			t.Errorf("GET %s: %s %s", path, response.Status, body)
		}
		for name, values := range response.Header {
			body += name + strings.Join(values, " ")
		}
		if strings.Contains(body, token) {
			t.Errorf("GET %s shows the token", path)
		}
	}
}

// No other page can make a signed-in browser change anything.
func TestNeverAgain08ForeignPagesChangeNothing(t *testing.T) {
	namespace := env.NewNamespace(t)
	d := startDashboard(t)
	b := d.browser()
	b.signIn(newTokenOf(t, namespace, "keeper", true))
	own := b.header
	without := func(name string) http.Header {
		header := own.Clone()
		header.Del(name)
		return header
	}
	with := func(name, value string) http.Header {
		header := own.Clone()
		header.Set(name, value)
		return header
	}
	for name, header := range map[string]http.Header{
		"another site":                   with("Sec-Fetch-Site", "cross-site"),
		"a sibling host, such as a shop": with("Sec-Fetch-Site", "same-site"),
		"another origin":                 with("Origin", "https://evil.example.com"),
		"an opaque origin":               with("Origin", "null"),
		"a form, without the header":     without("X-Stores-Request"),
		"another header":                 with("X-Stores-Request", "yes"),
		"an old browser's form":          {"Content-Type": {"application/x-www-form-urlencoded"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, request := range []struct{ method, path string }{
				{http.MethodPost, storesIn(namespace)},
				{http.MethodPut, storesIn(namespace) + "/shop"},
				{http.MethodPatch, storesIn(namespace) + "/shop"},
				{http.MethodDelete, storesIn(namespace) + "/shop"},
				{http.MethodDelete, storesIn(namespace)},
				{http.MethodPost, "/session"},
				{http.MethodDelete, "/session"},
			} {
				response := b.send(t.Context(), request.method, request.path, manifestOf(t, namespace, "shop"), header)
				if response.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s: %s, want 403", request.method, request.path, response.Status)
				}
			}
		})
	}
	response, body := b.do(http.MethodPost, storesIn(namespace), manifestOf(t, namespace, "shop"))
	if response.StatusCode != http.StatusCreated {
		t.Errorf("the dashboard's own page: %s %s", response.Status, body)
	}
	if header := response.Header.Get("Access-Control-Allow-Origin"); header != "" {
		t.Errorf("other origins may read: %s", header)
	}
}

// A cluster ends the connection of a client that it does not know, after the answer, and
// requests of others that are on their way to it are lost unless they are sent again.
func TestStrangersEndNobodysRequests(t *testing.T) {
	const writes = 200
	namespace := env.NewNamespace(t)
	d := startDashboard(t)
	keeper, former := d.browser(), d.browser()
	keeper.signIn(newTokenOf(t, namespace, "keeper", true))
	former.signIn(newTokenOf(t, namespace, "former", false))
	if err := harness.Core(t, env.Admin()).CoreV1().ServiceAccounts(namespace).Delete(t.Context(), "former", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "the token to be worth nothing", func(context.Context) (bool, error) {
		response, _ := former.do(http.MethodGet, "/k8s/version", "")
		return response.StatusCode == http.StatusUnauthorized, nil
	})
	manifest := manifestOf(t, namespace, "shop")
	for name, ask := range map[string]func(){
		"a probe":                    func() { _ = d.api.Reachable(t.Context()) },
		"a sign-in with no token":    func() { d.browser().do(http.MethodPost, "/session", `{"token":"none"}`) },
		"the session of one deleted": func() { former.do(http.MethodGet, "/k8s/version", "") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			var strangers sync.WaitGroup
			strangers.Go(func() {
				for ctx.Err() == nil {
					ask()
				}
			})
			defer strangers.Wait()
			defer stop()
			for range writes {
				if response, body := keeper.do(http.MethodPost, storesIn(namespace)+"?dryRun=All", manifest); response.StatusCode != http.StatusCreated {
					t.Fatalf("a user's request: %s %s", response.Status, body)
				}
			}
		})
	}
}

// An hour of fifty tabs that nobody touches: each lists once and watches, ten
// minutes at a time, and asks who is signed in. Nobody is ever told to slow down.
func TestNeverAgain32IdleTabsAreNotLimited(t *testing.T) {
	const tabs, rounds = 50, 6
	namespace := env.NewNamespace(t)
	d := startDashboard(t)
	token := newTokenOf(t, namespace, "keeper", true)
	codes := make(chan int, tabs*(1+3*rounds))
	ended := make(chan struct{}, tabs)
	for range tabs {
		tab := d.browser()
		tab.signIn(token)
		go func() {
			defer func() { ended <- struct{}{} }()
			for range rounds {
				for _, path := range []string{"/session", storesIn(namespace), storesIn(namespace) + "?watch=true&allowWatchBookmarks=true&timeoutSeconds=1"} {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tab.URL+path, nil)
					if err != nil {
						return
					}
					request.Header = tab.header
					response, err := tab.client.Do(request)
					if err != nil {
						codes <- 0
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
					codes <- response.StatusCode
				}
			}
		}()
	}
	for range tabs {
		<-ended
	}
	close(codes)
	seen := map[int]int{}
	for code := range codes {
		seen[code]++
	}
	if len(seen) != 1 || seen[http.StatusOK] != tabs*rounds*3 {
		t.Errorf("answers by code are %v, want %d times 200", seen, tabs*rounds*3)
	}
}

// The dashboard adds nothing to what its user may do, and passes on nothing else
// that the browser sends.
func TestDashboardHasTheRightsOfItsUser(t *testing.T) {
	namespace := env.NewNamespace(t)
	d := startDashboard(t)
	viewer, stranger := d.browser(), d.browser()
	viewer.signIn(newTokenOf(t, namespace, "viewer", false))
	viewer.header.Set("Impersonate-User", "admin")
	viewer.header.Set("Impersonate-Group", "system:masters")
	viewer.header.Set("X-Remote-User", "admin")
	viewer.header.Set("Authorization", "Bearer "+env.Admin().BearerToken)
	for _, test := range []struct {
		name         string
		by           *browser
		method, path string
		want         int
	}{
		{"a viewer reads", viewer, http.MethodGet, storesIn(namespace), http.StatusOK},
		{"a viewer does not write", viewer, http.MethodPost, storesIn(namespace), http.StatusForbidden},
		{"a viewer does not read elsewhere", viewer, http.MethodGet, storesIn("default"), http.StatusForbidden},
		{"a viewer of stores sees no pods", viewer, http.MethodGet, "/k8s/api/v1/namespaces/" + namespace + "/pods", http.StatusForbidden},
		{"a viewer of stores reads no logs", viewer, http.MethodGet, "/k8s/api/v1/namespaces/" + namespace + "/pods/web/log?follow=true", http.StatusForbidden},
		{"a stranger does not read", stranger, http.MethodGet, storesIn(namespace), http.StatusUnauthorized},
		{"nobody reads secrets", viewer, http.MethodGet, "/k8s/api/v1/namespaces/" + namespace + "/secrets", http.StatusNotFound},
		{"nobody leaves the list by dots", viewer, http.MethodGet, "/k8s/apis/platform.dev/..%2f..%2fapi/v1/secrets", http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := ""
			if test.method == http.MethodPost {
				body = manifestOf(t, namespace, "shop")
			}
			if response, answer := test.by.do(test.method, test.path, body); response.StatusCode != test.want {
				t.Errorf("%s, want %d: %s", response.Status, test.want, answer)
			}
		})
	}
	t.Run("a forged token", func(t *testing.T) {
		response, _ := stranger.do(http.MethodPost, "/session", `{"token":"eyJhbGciOiJub25lIn0.e30."}`)
		if response.StatusCode != http.StatusUnauthorized || len(response.Cookies()) != 0 {
			t.Errorf("signing in with it: %s, cookies %v", response.Status, response.Cookies())
		}
	})
}

// A watch shows each event at once, and ends when its user signs out.
func TestDashboardStreamsUntilSignOut(t *testing.T) {
	namespace := env.NewNamespace(t)
	b := startDashboard(t).browser()
	b.signIn(newTokenOf(t, namespace, "keeper", true))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch := b.send(ctx, http.MethodGet, storesIn(namespace)+"?watch=true", "", b.header)
	if watch.StatusCode != http.StatusOK {
		t.Fatalf("watching: %s", watch.Status)
	}
	events := bufio.NewReader(watch.Body)
	if response, answer := b.do(http.MethodPost, storesIn(namespace), manifestOf(t, namespace, "shop")); response.StatusCode != http.StatusCreated {
		t.Fatalf("creating: %s %s", response.Status, answer)
	}
	line, err := events.ReadString('\n')
	if err != nil || !strings.Contains(line, `"type":"ADDED"`) {
		t.Fatalf("the watch shows %q, %v", line, err)
	}
	if response, answer := b.do(http.MethodDelete, "/session", ""); response.StatusCode != http.StatusNoContent {
		t.Fatalf("signing out: %s %s", response.Status, answer)
	}
	if rest, err := io.ReadAll(events); err != nil {
		t.Errorf("the watch goes on after the end of the session: %q, %v", rest, err)
	}
	if response, _ := b.do(http.MethodGet, "/session", ""); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("after signing out: %s", response.Status)
	}
}
