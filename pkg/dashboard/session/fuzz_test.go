package session

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Cookies that the dashboard did not write are no session and no login, and what it
// wrote comes back as it was.
func FuzzCookies(f *testing.F) {
	f.Add("__Host-stores-session-0=AAAA; __Host-stores-session-1=", "token", "refresh", int64(3600))
	f.Add("__Host-stores-login=x; __Host-stores-session-0=\"a\"", strings.Repeat("t", 9000), "", int64(1))
	f.Add(strings.Repeat("__Host-stores-session-0=a;", 300), "a.eyJleHAiOjFlMzB9.b", "", int64(-1))
	f.Add("", "a.eyJleHAiOi0xfQ.b", "", int64(253402300799))
	now := start
	keys, err := RandomKeys()
	if err != nil {
		f.Fatal(err)
	}
	cookies := &Cookies{Keys: keys, Secure: true, Now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, header, token, refresh string, seconds int64) {
		foreign := httptest.NewRequest(http.MethodGet, "/", nil)
		foreign.Header.Set("Cookie", header)
		if s, err := cookies.Read(foreign); !errors.Is(err, ErrNone) {
			t.Errorf("%q is the session %+v, %v", header, s, err)
		}
		if l, err := cookies.TakeLogin(httptest.NewRecorder(), foreign); !errors.Is(err, ErrNone) {
			t.Errorf("%q is the login %+v, %v", header, l, err)
		}
		if !utf8.ValidString(token) || !utf8.ValidString(refresh) {
			return // neither is ASCII, as tokens are
		}
		written := New(token, refresh, now, time.Duration(seconds%1e9)*time.Second)
		w := httptest.NewRecorder()
		if err := cookies.Write(w, foreign, written); err != nil {
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("writing a session: %v", err)
			}
			return
		}
		read, err := cookies.Read(returned(w, foreign))
		switch {
		case !now.Before(written.SignedInUntil()):
			if !errors.Is(err, ErrNone) {
				t.Errorf("a session that has ended is read: %+v, %v", read, err)
			}
		case err != nil:
			t.Errorf("reading what was written: %v", err)
		case read.Token != token || read.Refresh != refresh || !read.SignedInUntil().Equal(written.SignedInUntil()):
			t.Errorf("read %+v, want %+v", read, written)
		}
	})
}
