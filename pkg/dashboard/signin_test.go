package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"platform.dev/stores/pkg/dashboard/oidc"
	"platform.dev/stores/pkg/dashboard/oidc/oidctest"
)

// startWithIssuer starts a dashboard whose users log in at the issuer.
func startWithIssuer(t *testing.T, c *cluster, issuer *oidctest.Issuer, now func() time.Time) *replica {
	t.Helper()
	provider, err := oidc.New(oidc.Config{
		IssuerURL: issuer.URL, ClientID: oidctest.ClientID, Scopes: []string{"openid"}, RedirectURL: "https://dashboard.example.com/login/callback",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return startReplicaAt(t, c, newKeys(t), provider, now)
}

// logIn does what the browser does until it is back, and returns the way back.
func (b *browser) logIn(issuer *oidctest.Issuer, want int) (callback string) {
	b.t.Helper()
	away, _ := b.do(http.MethodGet, "/login", "", http.StatusSeeOther)
	callback = "/login/callback?" + issuer.LogIn(away.Header.Get("Location")).Encode()
	b.do(http.MethodGet, callback, "", want)
	return callback
}

// The ID token of the login is the user's token, and a login is good for one
// browser, once.
func TestLogin(t *testing.T) {
	t.Parallel()
	issuer := oidctest.Start(t)
	c := startCluster(t, stream)
	r := startWithIssuer(t, c, issuer, time.Now)
	b := r.browser()
	b.header.Set("Sec-Fetch-Site", "cross-site") // as the way back from a provider is
	b.header.Del("Origin")
	callback := b.logIn(issuer, http.StatusSeeOther)
	b.header.Set("Sec-Fetch-Site", "same-origin")
	b.do(http.MethodGet, "/session", "", http.StatusOK)
	if token := c.lastToken(); strings.Count(token, ".") != 2 {
		t.Errorf("the cluster got the token %q, want the ID token", token)
	}
	if again, _ := b.do(http.MethodGet, callback, "", http.StatusSeeOther); again.Header.Get("Location") != "/?login=expired" {
		t.Errorf("the same answer again leads to %s", again.Header.Get("Location"))
	}

	victim := r.browser()
	away, _ := r.browser().do(http.MethodGet, "/login", "", http.StatusSeeOther)
	victim.do(http.MethodGet, "/login/callback?"+issuer.LogIn(away.Header.Get("Location")).Encode(), "", http.StatusSeeOther)
	if victim.cookies() != 0 {
		t.Error("a link has signed a browser in as somebody else")
	}
}

// A browser whose login fails is back where it can begin again, and signed in as
// nobody.
func TestFailedLoginsLeadBack(t *testing.T) {
	t.Parallel()
	type login struct {
		*browser
		cluster *cluster
		issuer  *oidctest.Issuer
		clock   *clock
		answer  url.Values
	}
	for name, test := range map[string]struct {
		before, after func(l *login) // the browser goes to the provider
		want          string
	}{
		"the user has left it":                  {after: func(l *login) { l.answer = url.Values{"state": l.answer["state"], "error": {"access_denied"}} }, want: "denied"},
		"the provider has an error":             {after: func(l *login) { l.answer = url.Values{"state": l.answer["state"], "error": {"server_error"}} }, want: "provider"},
		"the provider does not know the code":   {after: func(l *login) { l.answer.Set("code", "guessed") }, want: "provider"},
		"the answer is to another login":        {after: func(l *login) { l.answer.Set("state", "another") }, want: "other"},
		"the login has taken too long":          {after: func(l *login) { l.clock.advance(11 * time.Minute) }, want: "expired"},
		"the provider is down":                  {before: func(l *login) { l.issuer.Close() }, want: "unavailable"},
		"the provider goes down":                {after: func(l *login) { l.issuer.Close() }, want: "unavailable"},
		"the cluster does not accept the token": {after: func(l *login) { l.cluster.refuse("") }, want: "cluster"},
		"the cluster is down":                   {after: func(l *login) { l.cluster.Close() }, want: "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &login{cluster: startCluster(t, stream), issuer: oidctest.Start(t), clock: &clock{}}
			l.browser = startWithIssuer(t, l.cluster, l.issuer, l.clock.now).browser()
			if test.before != nil {
				test.before(l)
			}
			back, _ := l.do(http.MethodGet, "/login", "", http.StatusSeeOther)
			if test.after != nil {
				l.answer = l.issuer.LogIn(back.Header.Get("Location"))
				test.after(l)
				back, _ = l.do(http.MethodGet, "/login/callback?"+l.answer.Encode(), "", http.StatusSeeOther)
			}
			if got := back.Header.Get("Location"); got != "/?login="+test.want {
				t.Errorf("the browser is sent to %s, want /?login=%s", got, test.want)
			}
			l.do(http.MethodGet, "/session", "", http.StatusUnauthorized)
		})
	}
}

// A token is replaced before it ends, until the provider says no.
func TestTokensAreRefreshed(t *testing.T) {
	t.Parallel()
	var time clock
	issuer := oidctest.Start(t)
	c := startCluster(t, stream)
	b := startWithIssuer(t, c, issuer, time.now).browser()
	b.logIn(issuer, http.StatusSeeOther)
	first := c.lastToken()
	b.do(http.MethodGet, storesPath, "", http.StatusOK)
	if c.lastToken() != first {
		t.Error("a new token was replaced at once")
	}

	issuer.SetLifetime(2 * oidctest.Lifetime)
	time.advance(oidctest.Lifetime - refreshBefore/2)
	b.do(http.MethodGet, storesPath, "", http.StatusOK)
	second := c.lastToken()
	if second == first {
		t.Error("the token was not replaced before its end")
	}

	issuer.Revoke()
	time.advance(oidctest.Lifetime)
	b.do(http.MethodGet, storesPath, "", http.StatusOK)
	if c.lastToken() != second {
		t.Error("a token that is still valid was not used")
	}
	time.advance(refreshBefore)
	b.do(http.MethodGet, storesPath, "", http.StatusUnauthorized)
	if b.cookies() != 0 {
		t.Error("the browser keeps a session that nobody continues")
	}
}

// While the provider is away, users stay signed in as long as their tokens last,
// and are asked to wait after that.
func TestOutageOfTheProvider(t *testing.T) {
	t.Parallel()
	var time clock
	issuer := oidctest.Start(t)
	c := startCluster(t, stream)
	b := startWithIssuer(t, c, issuer, time.now).browser()
	b.logIn(issuer, http.StatusSeeOther)
	issuer.Close()
	time.advance(oidctest.Lifetime - refreshBefore/2)
	b.do(http.MethodGet, storesPath, "", http.StatusOK)
	time.advance(refreshBefore)
	b.do(http.MethodGet, storesPath, "", http.StatusServiceUnavailable)
	if b.cookies() == 0 {
		t.Error("the outage has signed the user out")
	}
}
