package oidc

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"platform.dev/stores/pkg/dashboard/oidc/oidctest"
)

func newProvider(t *testing.T, i *oidctest.Issuer) *Provider {
	t.Helper()
	p, err := New(Config{
		IssuerURL: i.URL, ClientID: oidctest.ClientID, Scopes: []string{"openid"}, RedirectURL: "https://dashboard.example.com/login/callback",
	}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// logIn returns what the provider answers to a login.
func logIn(t *testing.T, i *oidctest.Issuer, p *Provider, state, nonce, verifier string) url.Values {
	t.Helper()
	address, err := p.LoginURL(state, nonce, verifier)
	if err != nil {
		t.Fatal(err)
	}
	return i.LogIn(address)
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
		"the answer of another login":    {change: func(a url.Values) { a.Set("state", "another") }, want: ErrOtherLogin},
		"a login that the user has left": {change: func(a url.Values) { a.Set("error", "access_denied") }, want: ErrDenied},
		"an error of the provider":       {change: func(a url.Values) { a.Set("error", "server_error") }, want: ErrRefused},
		"an unknown code":                {change: func(a url.Values) { a.Set("code", "guessed") }, want: ErrRefused},
		"a stolen code":                  {proof: "another-verifier-of-at-least-forty-three-characters", want: ErrRefused},
		"a token made for another login": {nonce: "another", want: ErrOtherLogin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := oidctest.Start(t)
			p := newProvider(t, i)
			state, nonce, verifier := Secrets()
			answer := logIn(t, i, p, state, nonce, verifier)
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
			if !errors.Is(err, test.want) || err != nil && !errors.Is(err, ErrRefused) || (err == nil) != (tokens != nil) {
				t.Errorf("got %v, %v, want error %v", tokens, err, test.want)
			}
		})
	}
}

// Many requests of one session refresh its token once, and never become somebody
// else.
func TestRefresh(t *testing.T) {
	t.Parallel()
	i := oidctest.Start(t)
	p := newProvider(t, i)
	state, nonce, verifier := Secrets()
	tokens, err := p.Exchange(t.Context(), logIn(t, i, p, state, nonce, verifier), state, nonce, verifier)
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
	if i.Refreshes() != 1 {
		t.Errorf("the provider was asked %d times, want once", i.Refreshes())
	}
	next, err := p.Refresh(t.Context(), *tokens)
	if err != nil {
		t.Fatal(err)
	}
	i.SetSubject("mallory")
	if _, err := p.Refresh(t.Context(), *next); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "same user") {
		t.Errorf("a refresh that makes somebody else of the user: %v, want %v", err, ErrRefused)
	}
}
