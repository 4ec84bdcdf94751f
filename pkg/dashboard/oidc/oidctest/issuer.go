// Package oidctest is an OpenID Connect provider for tests.
package oidctest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// ClientID is the one client that the issuer knows.
	ClientID = "stores"
	// Lifetime is how long tokens last, unless a test changes it.
	Lifetime = time.Hour
)

// Issuer gives codes, and tokens for them. A code and a refresh token can each be
// used once.
type Issuer struct {
	*httptest.Server
	t      testing.TB
	signer jose.Signer
	key    jose.JSONWebKey

	mu        sync.Mutex
	codes     map[string]url.Values // the login that a code is for
	refresh   map[string]bool
	subject   string
	lifetime  time.Duration
	refreshes int
}

// Start starts an issuer whose user is alice.
func Start(t testing.TB) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{
		t: t, subject: "alice", lifetime: Lifetime, codes: map[string]url.Values{}, refresh: map[string]bool{},
		key: jose.JSONWebKey{Key: key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"},
	}
	i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, http.StatusOK, map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key}})
	})
	mux.HandleFunc("/token", i.token)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// SetSubject changes who the next tokens are for.
func (i *Issuer) SetSubject(subject string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.subject = subject
}

// SetLifetime changes how long the next tokens last.
func (i *Issuer) SetLifetime(lifetime time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lifetime = lifetime
}

// Revoke makes all refresh tokens worthless.
func (i *Issuer) Revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.refresh)
}

// Refreshes is how often a token was refreshed.
func (i *Issuer) Refreshes() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.refreshes
}

// LogIn is what the user does at the address that the browser was sent to. It
// returns what the browser comes back with.
func (i *Issuer) LogIn(address string) url.Values {
	i.t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	code := rand.Text()
	i.codes[code] = parsed.Query()
	return url.Values{"code": {code}, "state": {parsed.Query().Get("state")}}
}

// token answers as RFC 6749 and, for the verifier, RFC 7636 say.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	nonce, granted := "", false
	switch r.FormValue("grant_type") {
	case "authorization_code":
		login, known := i.codes[r.FormValue("code")]
		delete(i.codes, r.FormValue("code"))
		digest := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		granted = known && login.Get("code_challenge_method") == "S256" &&
			login.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(digest[:])
		nonce = login.Get("nonce")
	case "refresh_token":
		granted = i.refresh[r.FormValue("refresh_token")]
		delete(i.refresh, r.FormValue("refresh_token"))
		if granted {
			i.refreshes++
		}
	}
	if !granted {
		i.answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	next := rand.Text()
	i.refresh[next] = true
	i.answer(w, http.StatusOK, map[string]any{
		"access_token": "a", "token_type": "Bearer", "id_token": i.sign(nonce), "refresh_token": next,
	})
}

func (i *Issuer) sign(nonce string) string {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": ClientID, "sub": i.subject, "nonce": nonce, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(i.lifetime).Unix(),
	})
	if err != nil {
		i.t.Error(err)
	}
	signed, err := i.signer.Sign(claims)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		i.t.Error(err)
	}
	return raw
}

func (i *Issuer) answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		i.t.Error(err)
	}
}
