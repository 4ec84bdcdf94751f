package dashboard

import (
	"net/http"
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
	b.do(http.MethodGet, callback, "", http.StatusUnauthorized)

	victim := r.browser()
	away, _ := r.browser().do(http.MethodGet, "/login", "", http.StatusSeeOther)
	victim.do(http.MethodGet, "/login/callback?"+issuer.LogIn(away.Header.Get("Location")).Encode(), "", http.StatusUnauthorized)
	if victim.cookies() != 0 {
		t.Error("a link has signed a browser in as somebody else")
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
