// Package session keeps who is signed in, in cookies that only the dashboard can
// read. Nothing is stored on the server: every replica with the same key can
// continue every session.
package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Session is a signed-in user. It is their own token that speaks for them; the
// dashboard has none.
type Session struct {
	// Token is the bearer token for the kube API.
	Token string `json:"t"`
	// Expires is when the token ends, as far as it says so itself.
	Expires time.Time `json:"e,omitzero"`
	// Refresh gets the next token from the identity provider; empty without one.
	Refresh string `json:"r,omitempty"`
	// End is when the user has to sign in again, whatever the token says.
	End time.Time `json:"x"`
}

// New returns the session of a token that begins now and lasts at most for
// maxAge.
func New(token, refresh string, now time.Time, maxAge time.Duration) *Session {
	return &Session{Token: token, Expires: expiry(token), Refresh: refresh, End: now.Add(maxAge)}
}

// Renewed returns the session with its next token. It does not last longer for it.
func (s *Session) Renewed(token, refresh string) *Session {
	return &Session{Token: token, Expires: expiry(token), Refresh: refresh, End: s.End}
}

// ID tells sessions of different tokens apart and does not reveal the token.
func (s *Session) ID() ID { return sha256.Sum256([]byte(s.Token)) }

// ID identifies the session of one token.
type ID [sha256.Size]byte

// ValidUntil is when the token stops being good for requests.
func (s *Session) ValidUntil() time.Time {
	if s.Expires.IsZero() || s.End.Before(s.Expires) {
		return s.End
	}
	return s.Expires
}

// SignedInUntil is when the user has to sign in again: a session that can be
// refreshed outlives its token.
func (s *Session) SignedInUntil() time.Time {
	if s.Refresh != "" {
		return s.End
	}
	return s.ValidUntil()
}

// expiry is the time at which a JWT ends, or zero for a token of another kind.
// The signature is the kube API's to check: a false time here only makes a
// session shorter or its last requests fail.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Expires <= 0 || claims.Expires > maxUnix {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}

// maxUnix is the end of the year 9999, the last that JSON can write.
const maxUnix = 253402300799
