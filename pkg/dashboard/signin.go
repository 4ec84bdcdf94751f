package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/dashboard/kube"
	"platform.dev/stores/pkg/dashboard/oidc"
	"platform.dev/stores/pkg/dashboard/session"
)

// refreshBefore is how long before its end a token is replaced.
const refreshBefore = time.Minute

// session answers who is signed in, signs in with a token, and signs out.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.whoAmI(w, r)
	case http.MethodPost:
		s.signIn(w, r)
	case http.MethodDelete:
		s.signOut(w, r)
	default:
		methodNotAllowed(w, "GET, HEAD, POST, DELETE")
	}
}

type user struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

func (s *Server) whoAmI(w http.ResponseWriter, r *http.Request) {
	current, err := s.current(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	info, err := s.config.API.Who(r.Context(), current.Token)
	if err != nil {
		if kube.IsRefused(err) {
			s.forget(w, r, current)
		}
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		User      user        `json:"user"`
		ExpiresAt metav1.Time `json:"expiresAt"`
	}{user{info.Username, info.Groups}, metav1.NewTime(current.SignedInUntil())})
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	if !bufferBody(w, r, maxToken) {
		return
	}
	var given struct {
		Token string `json:"token"`
	}
	decoder := json.NewDecoder(r.Body)
	if err := decoder.Decode(&given); err != nil || decoder.Decode(&struct{}{}) != io.EOF {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, `send {"token": "..."}`)
		return
	}
	token := strings.TrimSpace(given.Token)
	if !isBearer(token) {
		unauthorized(w, "this is not a token: sign in with one that `kubectl create token` prints")
		return
	}
	if err := s.begin(w, r, &oidc.Tokens{ID: token}); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// begin signs a user in whose token the kube API accepts.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, tokens *oidc.Tokens) error {
	info, err := s.config.API.Who(r.Context(), tokens.ID)
	if err != nil {
		return err
	}
	next := session.New(tokens.ID, tokens.Refresh, s.config.Now(), s.config.MaxSession)
	if err := s.config.Cookies.Write(w, r, next); err != nil {
		return err
	}
	if before, err := s.config.Cookies.Read(r); err == nil {
		s.streams.End(before)
	}
	klog.FromContext(r.Context()).Info("Signed in", "user", info.Username)
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if current, err := s.config.Cookies.Read(r); err == nil {
		s.streams.End(current)
	}
	s.config.Cookies.Clear(w, r)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// current returns the session of a request, with its next token if the old one is
// about to end. The browser then gets new cookies with the answer.
func (s *Server) current(w http.ResponseWriter, r *http.Request) (*session.Session, error) {
	current, err := s.config.Cookies.Read(r)
	if err != nil {
		return nil, err
	}
	valid := current.ValidUntil().Sub(s.config.Now())
	if valid > refreshBefore || current.Refresh == "" || s.config.OIDC == nil {
		if valid <= 0 {
			return nil, session.ErrNone
		}
		return current, nil
	}
	tokens, err := s.config.OIDC.Refresh(r.Context(), oidc.Tokens{ID: current.Token, Refresh: current.Refresh})
	if err == nil {
		next := current.Renewed(tokens.ID, tokens.Refresh)
		if err = s.config.Cookies.Write(w, r, next); err == nil {
			s.streams.End(current)
			return next, nil
		}
	}
	if valid > 0 {
		klog.FromContext(r.Context()).Error(err, "Could not refresh a token; it is still valid", "for", valid)
		return current, nil
	}
	if errors.Is(err, oidc.ErrRefused) {
		s.forget(w, r, current)
	}
	return nil, err
}

// forget signs a user out whose token nobody accepts any more.
func (s *Server) forget(w http.ResponseWriter, r *http.Request, current *session.Session) {
	s.streams.End(current)
	s.config.Cookies.Clear(w, r)
}

// login sends the browser to the identity provider.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if !s.loginRequest(w, r) {
		return
	}
	state, nonce, verifier := oidc.Secrets()
	address, err := s.config.OIDC.LoginURL(state, nonce, verifier)
	if err == nil {
		err = s.config.Cookies.WriteLogin(w, &session.Login{State: state, Nonce: nonce, Verifier: verifier, Started: s.config.Now()})
	}
	if err != nil {
		loginFailed(w, r, err)
		return
	}
	redirect(w, r, address)
}

// callback is where the identity provider sends the browser back to.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) {
	if !s.loginRequest(w, r) {
		return
	}
	begun, err := s.config.Cookies.TakeLogin(w, r)
	if err != nil {
		loginFailed(w, r, err)
		return
	}
	tokens, err := s.config.OIDC.Exchange(r.Context(), r.URL.Query(), begun.State, begun.Nonce, begun.Verifier)
	if err == nil {
		err = s.begin(w, r, tokens)
	}
	if err != nil {
		loginFailed(w, r, err)
		return
	}
	redirect(w, r, "/")
}

// loginFailed sends the browser back to where a login begins. The page there has
// the words for why; anybody can write an address, so it holds no text.
func loginFailed(w http.ResponseWriter, r *http.Request, err error) {
	why := loginFailure(err)
	klog.FromContext(r.Context()).Error(err, "A login failed", "why", why)
	redirect(w, r, "/?login="+why)
}

// loginFailure names why a login failed, as dashboard/src/api/session.ts knows it.
func loginFailure(err error) string {
	switch {
	case errors.Is(err, session.ErrNone):
		return "expired"
	case errors.Is(err, oidc.ErrOtherLogin):
		return "other"
	case errors.Is(err, oidc.ErrDenied):
		return "denied"
	case errors.Is(err, oidc.ErrRefused):
		return "provider"
	case errors.Is(err, session.ErrTooLarge):
		return "large"
	case kube.IsRefused(err):
		return "cluster"
	}
	return "unavailable"
}

// loginRequest answers and returns false for what is no login.
func (s *Server) loginRequest(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case s.config.OIDC == nil:
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "no identity provider is configured: sign in with a token")
	case r.Method != http.MethodGet:
		methodNotAllowed(w, "GET")
	default:
		return true
	}
	return false
}

// redirect keeps the answer out of every cache: it depends on cookies.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// isBearer is true for what can stand in an Authorization header.
func isBearer(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' })
}

// Ready returns an error while the kube API does not answer.
func (s *Server) Ready(ctx context.Context) error { return s.config.API.Reachable(ctx) }
