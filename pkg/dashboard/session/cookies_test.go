package session

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newCookies(t *testing.T, now *time.Time) *Cookies {
	t.Helper()
	keys, err := RandomKeys()
	if err != nil {
		t.Fatal(err)
	}
	return &Cookies{Keys: keys, Secure: true, Now: func() time.Time { return *now }}
}

// returned is the next request of a browser that was answered with w. It keeps
// what the answer before left.
func returned(w *httptest.ResponseRecorder, before *http.Request) *http.Request {
	kept := map[string]*http.Cookie{}
	for _, cookie := range before.Cookies() {
		kept[cookie.Name] = cookie
	}
	for _, cookie := range w.Result().Cookies() {
		if kept[cookie.Name] = cookie; cookie.MaxAge < 0 {
			delete(kept, cookie.Name)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, cookie := range kept {
		r.AddCookie(cookie)
	}
	return r
}

// A token of any length that browsers can keep comes back whole, also after a
// longer one.
func TestSessionsSurviveTheBrowser(t *testing.T) {
	t.Parallel()
	now := start
	cookies := newCookies(t, &now)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, length := range []int{1, 20_000, 3_000, 12_000} {
		token := strings.Repeat("t", length)
		w := httptest.NewRecorder()
		if err := cookies.Write(w, r, New(token, "", now, time.Hour)); err != nil {
			t.Fatalf("%d bytes: %v", length, err)
		}
		for _, cookie := range w.Result().Cookies() {
			if size := len(cookie.String()); size > 4096 {
				t.Errorf("%d bytes: a cookie of %d bytes, more than browsers keep", length, size)
			}
		}
		r = returned(w, r)
		if got, err := cookies.Read(r); err != nil || got.Token != token {
			t.Errorf("%d bytes: came back as %v, %v", length, got, err)
		}
	}
	if err := cookies.Write(httptest.NewRecorder(), r, New(strings.Repeat("t", 40_000), "", now, time.Hour)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a token that is too long: %v, want %v", err, ErrTooLarge)
	}
}

// No session is read that has ended, was changed, or that another key sealed.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	now := start
	cookies := newCookies(t, &now)
	none := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	if err := cookies.Write(w, none, New("token", "", now, time.Hour)); err != nil {
		t.Fatal(err)
	}
	whole := returned(w, none)
	sealed := w.Result().Cookies()[0]
	changed := httptest.NewRequest(http.MethodGet, "/", nil)
	changed.AddCookie(&http.Cookie{Name: sealed.Name, Value: sealed.Value[:len(sealed.Value)-4] + "AAAA"})
	for name, test := range map[string]struct {
		request *http.Request
		cookies *Cookies
		after   time.Duration
		want    error
	}{
		"in time":     {whole, cookies, 59 * time.Minute, nil},
		"too late":    {whole, cookies, time.Hour, ErrNone},
		"none":        {none, cookies, 0, ErrNone},
		"changed":     {changed, cookies, 0, ErrNone},
		"another key": {whole, newCookies(t, &now), 0, ErrNone},
	} {
		t.Run(name, func(t *testing.T) {
			now = start.Add(test.after)
			if _, err := test.cookies.Read(test.request); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
