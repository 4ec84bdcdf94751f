package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// sessionCookie and loginCookie are the cookies' names, after the prefix.
	sessionCookie = "stores-session-"
	loginCookie   = "stores-login"
	// hostPrefix makes browsers refuse the cookie from anywhere but this very
	// host over HTTPS: no store on a sibling host can write it.
	hostPrefix = "__Host-"

	// chunkSize leaves room for name and attributes in the 4,096 bytes that
	// browsers keep.
	chunkSize = 3800
	maxChunks = 8

	loginAge = 10 * time.Minute
)

// ErrTooLarge is a session that no browser would keep.
var ErrTooLarge = errors.New("the token is too long for a session: sign in with one of fewer groups or claims")

// ErrNone is a request without a session.
var ErrNone = errors.New("not signed in")

// Cookies are where browsers keep sessions.
type Cookies struct {
	Keys Keys
	// Secure is false only for development on plain HTTP.
	Secure bool
	Now    func() time.Time
}

// Write gives the session to the browser in as many cookies as it needs, and takes
// away those of a longer one.
func (c *Cookies) Write(w http.ResponseWriter, r *http.Request, s *Session) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding a session: %w", err)
	}
	sealed := c.Keys.Seal(plain, sessionCookie)
	if len(sealed) > chunkSize*maxChunks {
		return ErrTooLarge
	}
	age := s.SignedInUntil().Sub(c.Now())
	i := 0
	for ; len(sealed) > 0; i++ {
		n := min(chunkSize, len(sealed))
		http.SetCookie(w, c.cookie(c.chunk(i), sealed[:n], age, http.SameSiteStrictMode))
		sealed = sealed[n:]
	}
	c.remove(w, r, i)
	return nil
}

// Read returns the session of a request, or ErrNone.
func (c *Cookies) Read(r *http.Request) (*Session, error) {
	var sealed strings.Builder
	for i := range maxChunks {
		cookie, err := r.Cookie(c.chunk(i))
		if err != nil {
			break
		}
		sealed.WriteString(cookie.Value)
	}
	plain, err := c.Keys.Open(sealed.String(), sessionCookie)
	if err != nil {
		return nil, ErrNone
	}
	s := &Session{}
	if err := json.Unmarshal(plain, s); err != nil {
		return nil, ErrNone
	}
	if !c.Now().Before(s.SignedInUntil()) {
		return nil, ErrNone
	}
	return s, nil
}

// Clear takes the session away from the browser.
func (c *Cookies) Clear(w http.ResponseWriter, r *http.Request) { c.remove(w, r, 0) }

// remove takes away the cookies of a session from the i-th on.
func (c *Cookies) remove(w http.ResponseWriter, r *http.Request, i int) {
	for ; i < maxChunks; i++ {
		if _, err := r.Cookie(c.chunk(i)); err == nil {
			http.SetCookie(w, c.cookie(c.chunk(i), "", 0, http.SameSiteStrictMode))
		}
	}
}

// Login is what the dashboard has to know when a browser comes back from the
// identity provider.
type Login struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Started  time.Time `json:"t"`
}

// WriteLogin gives a login that has begun to the browser. The cookie is not strict:
// the way back from the provider begins on another site.
func (c *Cookies) WriteLogin(w http.ResponseWriter, l *Login) error {
	plain, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encoding a login: %w", err)
	}
	http.SetCookie(w, c.cookie(c.prefix()+loginCookie, c.Keys.Seal(plain, loginCookie), loginAge, http.SameSiteLaxMode))
	return nil
}

// TakeLogin returns the login that the browser has begun, which can be used once.
func (c *Cookies) TakeLogin(w http.ResponseWriter, r *http.Request) (*Login, error) {
	cookie, err := r.Cookie(c.prefix() + loginCookie)
	if err != nil {
		return nil, ErrNone
	}
	http.SetCookie(w, c.cookie(cookie.Name, "", 0, http.SameSiteLaxMode))
	plain, err := c.Keys.Open(cookie.Value, loginCookie)
	if err != nil {
		return nil, ErrNone
	}
	l := &Login{}
	if err := json.Unmarshal(plain, l); err != nil || c.Now().Sub(l.Started) > loginAge {
		return nil, ErrNone
	}
	return l, nil
}

func (c *Cookies) prefix() string {
	if c.Secure {
		return hostPrefix
	}
	return ""
}

func (c *Cookies) chunk(i int) string { return c.prefix() + sessionCookie + strconv.Itoa(i) }

// cookie returns a cookie that scripts cannot read; with no age left it removes it.
func (c *Cookies) cookie(name, value string, age time.Duration, site http.SameSite) *http.Cookie {
	seconds := int(age / time.Second)
	if seconds <= 0 {
		seconds = -1
	}
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: c.Secure, SameSite: site}
}
