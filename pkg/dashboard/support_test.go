package dashboard

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"platform.dev/stores/pkg/dashboard/assets"
	"platform.dev/stores/pkg/dashboard/kube"
	"platform.dev/stores/pkg/dashboard/oidc"
	"platform.dev/stores/pkg/dashboard/session"
)

const storesPath = "/k8s/apis/platform.dev/v1alpha1/stores"

// cluster is what the dashboard sees of a kube API: it knows whom a token belongs
// to, and answers with what a test says. The real one is in test/integration.
type cluster struct {
	*httptest.Server
	answer http.HandlerFunc

	mu      sync.Mutex
	refused map[string]bool // "" is every token
	seen    []*http.Request
}

func startCluster(t *testing.T, answer http.HandlerFunc) *cluster {
	t.Helper()
	c := &cluster{answer: answer, refused: map[string]bool{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	c.mu.Lock()
	refused := token == "" || c.refused[token] || c.refused[""]
	c.seen = append(c.seen, r)
	c.mu.Unlock()
	if refused {
		unauthorized(w, "Unauthorized")
		return
	}
	if strings.HasSuffix(r.URL.Path, "/selfsubjectreviews") {
		review := &authenticationv1.SelfSubjectReview{}
		review.Status.UserInfo = authenticationv1.UserInfo{Username: "alice", Groups: []string{"florists"}}
		writeJSON(w, http.StatusCreated, review)
		return
	}
	c.answer(w, r)
}

func (c *cluster) refuse(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[token] = true
}

// last is the last request that the cluster got.
func (c *cluster) last() *http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[len(c.seen)-1]
}

func (c *cluster) lastToken() string {
	return strings.TrimPrefix(c.last().Header.Get("Authorization"), "Bearer ")
}

// clock is the time, moved forward as far as a test wants.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(by time.Duration) { c.ahead.Add(int64(by)) }

// replica is a dashboard on HTTPS.
type replica struct {
	*httptest.Server
	t *testing.T
}

func newKeys(t *testing.T) session.Keys {
	t.Helper()
	keys, err := session.RandomKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func startReplica(t *testing.T, c *cluster, keys session.Keys) *replica {
	t.Helper()
	return startReplicaAt(t, c, keys, nil, time.Now)
}

func startReplicaAt(t *testing.T, c *cluster, keys session.Keys, provider *oidc.Provider, now func() time.Time) *replica {
	t.Helper()
	api, err := kube.New(c.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := assets.New(fstest.MapFS{"index.html": {Data: []byte("<title>Stores</title>")}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = New(Config{
		API: api, Assets: files, OIDC: provider, Cookies: &session.Cookies{Keys: keys, Secure: true, Now: now},
		ExternalURL: &url.URL{Scheme: "https", Host: server.Listener.Addr().String()},
		MaxSession:  12 * time.Hour, MaxStream: time.Minute, DefaultNamespace: "default", Now: now,
	})
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return &replica{server, t}
}

// browser keeps cookies and sends what the dashboard's own page would.
type browser struct {
	*replica
	client *http.Client
	header http.Header
}

func (r *replica) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	client := *r.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{r, &client, http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {r.URL}, requestHeader: {requestHeaderValue}}}
}

// open sends a request and returns the answer as it begins.
func (b *browser) open(ctx context.Context, method, path, body string) *http.Response {
	b.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, b.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header = maps.Clone(b.header)
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// do sends a request and fails the test unless the whole answer has this code.
func (b *browser) do(method, path, body string, want int) (response *http.Response, answer string) {
	b.t.Helper()
	response = b.open(b.t.Context(), method, path, body)
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	if response.StatusCode != want {
		b.t.Errorf("%s %s: %s, want %d: %s", method, path, response.Status, want, content)
	}
	return response, string(content)
}

func (b *browser) signIn(token string) {
	b.t.Helper()
	body, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(http.MethodPost, "/session", string(body), http.StatusNoContent)
}

// cookies is how many cookies the browser has.
func (b *browser) cookies() int {
	parsed, err := url.Parse(b.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(b.client.Jar.Cookies(parsed))
}

// stream answers a watch, or for a log that is followed, with one event, and then
// goes on until somebody ends it.
func stream(w http.ResponseWriter, r *http.Request) {
	if !streams(r) {
		writeJSON(w, http.StatusOK, struct{}{})
		return
	}
	_, _ = io.WriteString(w, "event\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}
