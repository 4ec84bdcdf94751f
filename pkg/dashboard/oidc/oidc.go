// Package oidc signs users in at an OpenID Connect provider that the cluster trusts
// as well: the ID token is the user's token for the kube API.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

const (
	// requestTimeout bounds every request to the provider.
	requestTimeout = 10 * time.Second
	// keepRefreshed is for how long requests that were sent with the token before
	// get the same new one. Many providers take a refresh token once only.
	keepRefreshed = time.Minute
	// keepFailed is for how long a refresh that has failed is not tried again.
	keepFailed = 5 * time.Second
)

// ErrRefused is a login or a refresh that the provider did not confirm.
var ErrRefused = errors.New("the identity provider does not confirm the login")

// Logins that are refused for a reason that the user can do something about. They
// are ErrRefused as well.
var (
	// ErrOtherLogin is an answer to another login than the browser's own.
	ErrOtherLogin = fmt.Errorf("%w: it belongs to another login", ErrRefused)
	// ErrDenied is a login that the user has left, or that the provider does not
	// allow to this user.
	ErrDenied = fmt.Errorf("%w: it was denied", ErrRefused)
)

// accessDenied is the code of RFC 6749, section 4.1.2.1.
const accessDenied = "access_denied"

// Config is how the provider knows the dashboard.
type Config struct {
	IssuerURL string
	ClientID  string
	// ClientSecretFile is empty for a public client. It is read for every request,
	// so that it can be replaced.
	ClientSecretFile string
	// CAFile holds the authorities of the provider's certificate; empty means the
	// system's.
	CAFile string
	Scopes []string
	// RedirectURL is where the provider sends browsers back to.
	RedirectURL string
}

// Tokens are what a login or a refresh gives.
type Tokens struct{ ID, Refresh string }

// Provider is the identity provider. It is asked for its addresses at the first
// login, so that the dashboard starts without it.
type Provider struct {
	config Config
	client *http.Client
	now    func() time.Time

	mu         sync.Mutex
	discovered *oidc.Provider

	refreshing singleflight.Group
	refreshed  map[[sha256.Size]byte]renewal
}

// renewal is the outcome of a refresh, for those who ask for the same until then.
type renewal struct {
	tokens *Tokens
	err    error
	until  time.Time
}

// New returns the provider of a configuration.
func New(config Config, now func() time.Time) (*Provider, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if config.CAFile != "" {
		pem, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities of the identity provider: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("there is no certificate in %s", config.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &Provider{
		config: config, now: now,
		client:    &http.Client{Transport: transport, Timeout: requestTimeout},
		refreshed: map[[sha256.Size]byte]renewal{},
	}, nil
}

// Secrets returns new values for a login: they bind the answer to this browser
// (state), to this login (nonce) and to this dashboard (verifier).
func Secrets() (state, nonce, verifier string) {
	return rand.Text(), rand.Text(), oauth2.GenerateVerifier()
}

// LoginURL is where a browser goes to log in.
func (p *Provider) LoginURL(state, nonce, verifier string) (string, error) {
	config, _, err := p.discover()
	if err != nil {
		return "", err
	}
	return config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// Exchange turns what the browser came back with into tokens, if it belongs to the
// login of state, nonce and verifier.
func (p *Provider) Exchange(ctx context.Context, answer url.Values, state, nonce, verifier string) (*Tokens, error) {
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(state)) != 1 {
		return nil, ErrOtherLogin
	}
	switch code := answer.Get("error"); code {
	case "":
	case accessDenied:
		return nil, fmt.Errorf("%w: %q", ErrDenied, answer.Get("error_description"))
	default:
		return nil, fmt.Errorf("%w: %q %q", ErrRefused, code, answer.Get("error_description"))
	}
	config, provider, err := p.discover()
	if err != nil {
		return nil, err
	}
	token, err := config.Exchange(oidc.ClientContext(ctx, p.client), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, failure("exchanging the code", err)
	}
	tokens, verified, err := p.verify(ctx, provider, token)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1 {
		return nil, ErrOtherLogin
	}
	return tokens, nil
}

// Refresh gets the tokens after those of old. Requests at the same time and soon
// after share one refresh, and its failure.
func (p *Provider) Refresh(ctx context.Context, old Tokens) (*Tokens, error) {
	key := sha256.Sum256([]byte(old.Refresh))
	if done, ok := p.recent(key); ok {
		return done.tokens, done.err
	}
	result, _, _ := p.refreshing.Do(string(key[:]), func() (any, error) {
		if done, ok := p.recent(key); ok {
			return done, nil
		}
		// The first caller may leave; the others still wait for the answer.
		tokens, err := p.refresh(context.WithoutCancel(ctx), old)
		done := renewal{tokens, err, p.now().Add(keepRefreshed)}
		if err != nil {
			done.until = p.now().Add(keepFailed)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refreshed[key] = done
		return done, nil
	})
	done := result.(renewal)
	return done.tokens, done.err
}

// recent returns the outcome of a refresh that is not over yet.
func (p *Provider) recent(key [sha256.Size]byte) (renewal, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, r := range p.refreshed {
		if p.now().After(r.until) {
			delete(p.refreshed, k)
		}
	}
	done, ok := p.refreshed[key]
	return done, ok
}

func (p *Provider) refresh(ctx context.Context, old Tokens) (*Tokens, error) {
	config, provider, err := p.discover()
	if err != nil {
		return nil, err
	}
	token, err := config.TokenSource(oidc.ClientContext(ctx, p.client), &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		return nil, failure("refreshing the token", err)
	}
	tokens, verified, err := p.verify(ctx, provider, token)
	if err != nil {
		return nil, err
	}
	// The token before may have expired by now; who it was for still counts.
	expired := provider.VerifierContext(p.context(), &oidc.Config{ClientID: p.config.ClientID, SkipExpiryCheck: true})
	before, err := expired.Verify(ctx, old.ID)
	if err != nil || before.Subject != verified.Subject {
		return nil, fmt.Errorf("%w: the new token is not the same user's", ErrRefused)
	}
	return tokens, nil
}

// verify checks the ID token of an answer.
func (p *Provider) verify(ctx context.Context, provider *oidc.Provider, token *oauth2.Token) (*Tokens, *oidc.IDToken, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, nil, fmt.Errorf("%w: there is no ID token in its answer", ErrRefused)
	}
	verifier := provider.VerifierContext(p.context(), &oidc.Config{ClientID: p.config.ClientID, Now: p.now})
	verified, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return &Tokens{ID: raw, Refresh: token.RefreshToken}, verified, nil
}

// discover asks the provider for its addresses, once.
func (p *Provider) discover() (*oauth2.Config, *oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.discovered == nil {
		provider, err := oidc.NewProvider(p.context(), p.config.IssuerURL)
		if err != nil {
			return nil, nil, fmt.Errorf("asking the identity provider for its addresses: %w", err)
		}
		p.discovered = provider
	}
	config := &oauth2.Config{
		ClientID: p.config.ClientID, Endpoint: p.discovered.Endpoint(),
		RedirectURL: p.config.RedirectURL, Scopes: p.config.Scopes,
	}
	if p.config.ClientSecretFile != "" {
		secret, err := os.ReadFile(p.config.ClientSecretFile)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the client secret: %w", err)
		}
		config.ClientSecret = strings.TrimSpace(string(secret))
	}
	return config, p.discovered, nil
}

// context is for what outlives a request, such as the provider's keys.
func (p *Provider) context() context.Context {
	return oidc.ClientContext(context.Background(), p.client)
}

// failure tells a refusal of the provider from one that cannot be reached.
func failure(what string, err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.Response.StatusCode < http.StatusInternalServerError {
		return fmt.Errorf("%w: %s: %q", ErrRefused, what, answer.ErrorCode)
	}
	return fmt.Errorf("%s: %w", what, err)
}
