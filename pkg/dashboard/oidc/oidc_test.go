package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an identity provider: it gives codes, and tokens for them.
type issuer struct {
	*httptest.Server
	t      *testing.T
	signer jose.Signer
	key    jose.JSONWebKey

	mu        sync.Mutex
	codes     map[string]url.Values // the login that a code is for
	subject   string
	refreshes int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, subject: "alice", codes: map[string]url.Values{}, key: jose.JSONWebKey{Key: key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}
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

func (i *issuer) answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		i.t.Error(err)
	}
}

// token answers as RFC 6749 and, for the verifier, RFC 7636 say.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	nonce := ""
	switch r.FormValue("grant_type") {
	case "authorization_code":
		login, ok := i.codes[r.FormValue("code")]
		delete(i.codes, r.FormValue("code"))
		digest := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || login.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(digest[:]) || login.Get("code_challenge_method") != "S256" {
			i.answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
			return
		}
		nonce = login.Get("nonce")
	case "refresh_token":
		i.refreshes++
	}
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": "stores", "sub": i.subject, "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		i.t.Error(err)
	}
	signed, err := i.signer.Sign(claims)
	if err != nil {
		i.t.Error(err)
		return
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		i.t.Error(err)
	}
	i.answer(w, http.StatusOK, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": raw, "refresh_token": "refresh"})
}

// logIn is what the user and the browser do: it returns what comes back.
func (i *issuer) logIn(address string) url.Values {
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

func (i *issuer) provider() *Provider {
	p, err := New(Config{IssuerURL: i.URL, ClientID: "stores", Scopes: []string{"openid"}, RedirectURL: "https://dashboard.example.com/login/callback"}, time.Now)
	if err != nil {
		i.t.Fatal(err)
	}
	return p
}

// Only the answer to this browser's own login is taken.
func TestExchange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(answer url.Values)
		nonce  string // instead of the login's own
		proof  string // verifier, likewise
		want   error
	}{
		"the login's answer":             {},
		"the answer of another login":    {change: func(a url.Values) { a.Set("state", "another") }, want: ErrRefused},
		"a refusal of the provider":      {change: func(a url.Values) { a.Set("error", "access_denied") }, want: ErrRefused},
		"an unknown code":                {change: func(a url.Values) { a.Set("code", "guessed") }, want: ErrRefused},
		"a stolen code":                  {proof: "another-verifier-of-at-least-forty-three-characters", want: ErrRefused},
		"a token made for another login": {nonce: "another", want: ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			p := i.provider()
			state, nonce, verifier := Secrets()
			address, err := p.LoginURL(state, nonce, verifier)
			if err != nil {
				t.Fatal(err)
			}
			answer := i.logIn(address)
			if test.change != nil {
				test.change(answer)
			}
			if test.nonce != "" {
				nonce = test.nonce
			}
			if test.proof != "" {
				verifier = test.proof
			}
			tokens, err := p.Exchange(t.Context(), answer, state, nonce, verifier)
			if !errors.Is(err, test.want) || (err == nil) != (tokens != nil) {
				t.Errorf("got %v, %v, want error %v", tokens, err, test.want)
			}
		})
	}
}

// Many requests of one session refresh its token once, and never become somebody
// else.
func TestRefresh(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	p := i.provider()
	state, nonce, verifier := Secrets()
	address, err := p.LoginURL(state, nonce, verifier)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := p.Exchange(t.Context(), i.logIn(address), state, nonce, verifier)
	if err != nil {
		t.Fatal(err)
	}
	var requests sync.WaitGroup
	for range 10 {
		requests.Go(func() {
			if next, err := p.Refresh(t.Context(), *tokens); err != nil || next.ID == "" {
				t.Errorf("refreshing: %v, %v", next, err)
			}
		})
	}
	requests.Wait()
	if i.refreshes != 1 {
		t.Errorf("the provider was asked %d times, want once", i.refreshes)
	}
	i.subject = "mallory"
	if _, err := i.provider().Refresh(t.Context(), *tokens); !errors.Is(err, ErrRefused) {
		t.Errorf("a refresh that makes somebody else of the user: %v, want %v", err, ErrRefused)
	}
}
