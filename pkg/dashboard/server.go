// Package dashboard serves the user interface and, for it, the kube API with each
// user's own token. It has no rights: without a signed-in user there is nothing
// that it could do.
package dashboard

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/version"

	"platform.dev/stores/pkg/dashboard/assets"
	"platform.dev/stores/pkg/dashboard/kube"
	"platform.dev/stores/pkg/dashboard/oidc"
	"platform.dev/stores/pkg/dashboard/proxy"
	"platform.dev/stores/pkg/dashboard/session"
)

const (
	// maxBody bounds what a browser may send; a Store is a fraction of it.
	maxBody = 1 << 20
	// maxToken bounds what a browser may sign in with.
	maxToken = 64 << 10
)

// Config is what a dashboard is made of.
type Config struct {
	API    *kube.API
	Assets *assets.Handler
	// OIDC is nil where users sign in with a token only.
	OIDC    *oidc.Provider
	Cookies *session.Cookies
	// ExternalURL is where browsers find the dashboard.
	ExternalURL *url.URL
	// MaxSession is how long a user stays signed in at most.
	MaxSession time.Duration
	// MaxStream is how long one watch lasts at most. Other replicas do not learn
	// that a user has signed out; after this time a watch has to ask again.
	MaxStream time.Duration
	// DefaultNamespace and StoreDomain are hints for the interface.
	DefaultNamespace, StoreDomain string
	Now                           func() time.Time
}

// Server is the dashboard's HTTP handler.
type Server struct {
	config  Config
	proxy   *proxy.Proxy
	streams session.Streams
}

// New returns a dashboard.
func New(config Config) *Server {
	s := &Server{config: config}
	s.proxy = proxy.New(config.API, s.fail)
	return s
}

// ServeHTTP answers every request of a browser.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := newPatientWriter(rw)
	class, handle := s.route(r)
	defer observe(class, r, w)()
	for name, value := range securityHeaders {
		w.Header().Set(name, value)
	}
	if s.config.ExternalURL.Scheme == "https" {
		w.Header().Set("Strict-Transport-Security", strictTransport)
	}
	if upgrades(r) {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "the dashboard speaks HTTP only: leave the header Upgrade out")
		return
	}
	handle(w, r)
}

// route returns what answers a request, and its class in the metrics. It looks at
// the path as it is: what another program would have to clean first is not found.
func (s *Server) route(r *http.Request) (class string, handle http.HandlerFunc) {
	switch path := r.URL.Path; {
	case path == "/session":
		return "session", s.guarded(s.session)
	case path == "/config":
		return "config", s.guarded(s.configuration)
	case strings.HasPrefix(path, proxy.Prefix):
		return "k8s", s.guarded(s.kubernetes)
	case path == "/login":
		return "login", s.login
	case path == "/login/callback":
		return "login", s.callback
	default:
		return "assets", s.asset
	}
}

// guarded refuses what pages other than the dashboard's ask for.
func (s *Server) guarded(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if why := s.foreign(r); why != "" {
			refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "the request was refused: "+why)
			return
		}
		handle(w, r)
	}
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	if changes(r) {
		methodNotAllowed(w, "GET, HEAD")
		return
	}
	if !s.config.Assets.Serve(w, r) {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "there is nothing here")
	}
}

// configuration tells the interface what it needs before anybody has signed in.
func (s *Server) configuration(w http.ResponseWriter, r *http.Request) {
	if changes(r) {
		methodNotAllowed(w, "GET, HEAD")
		return
	}
	writeJSON(w, http.StatusOK, struct {
		OIDC             bool   `json:"oidc"`
		Version          string `json:"version"`
		DefaultNamespace string `json:"defaultNamespace"`
		StoreDomain      string `json:"storeDomain,omitempty"`
	}{s.config.OIDC != nil, version.Get().GitVersion, s.config.DefaultNamespace, s.config.StoreDomain})
}

// kubernetes passes a request on to the kube API as the signed-in user.
func (s *Server) kubernetes(w http.ResponseWriter, r *http.Request) {
	path, ok := proxy.Allowed(r.Method, r.URL)
	if !ok {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the dashboard does not pass this on to the kube API: ask the kube API itself")
		return
	}
	current, err := s.current(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !bufferBody(w, r, maxBody) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	ctx, done := s.streams.Begin(r.Context(), current, s.config.Now().Add(s.config.MaxStream))
	defer done()
	s.proxy.Serve(w, r.WithContext(ctx), path, current.Token)
}

// bufferBody reads the whole body of a request, which a client may neither draw
// out nor make long. It answers and returns false if it does.
func bufferBody(w http.ResponseWriter, r *http.Request, limit int64) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(stall)) // not supported by writers of tests
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			refuse(w, http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, "the request is too large: send a smaller one")
		} else {
			refuse(w, http.StatusRequestTimeout, metav1.StatusReasonTimeout, "the request did not arrive in time: send it again")
		}
		return false
	}
	// The end of a watch is seen by reading on, for as long as it lasts.
	_ = control.SetReadDeadline(time.Time{})
	// What the kube API has not looked at, as it ended the connection, is sent again.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength, r.TransferEncoding = int64(len(content)), nil
	return true
}

func methodNotAllowed(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	refuse(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "use "+allowed)
}
