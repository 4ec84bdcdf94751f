package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// requestHeader must be on everything that changes something. No other origin
	// can send it, as the dashboard answers no preflight.
	requestHeader      = "X-Stores-Request"
	requestHeaderValue = "dashboard"
)

// securityHeaders are on every answer.
var securityHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// strictTransport is for a dashboard on HTTPS.
const strictTransport = "max-age=31536000"

// changes is true for requests that are not plain reads.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

// foreign returns why a request may come from a page that is not the dashboard's,
// or "". Stores are on sibling hosts of the dashboard: for SameSite cookies they
// are the same site, so the origin itself is checked, for reads too.
func (s *Server) foreign(r *http.Request) string {
	site := r.Header.Get("Sec-Fetch-Site")
	origin := r.Header.Get("Origin")
	if site != "" && site != "same-origin" && (changes(r) || site != "none") {
		return "it comes from another site: use the dashboard's own pages"
	}
	if origin != "" && !s.ownOrigin(r, origin) {
		return "it comes from another origin: use the dashboard at its own URL"
	}
	if !changes(r) {
		return ""
	}
	if site == "" && origin == "" {
		return "it must say where it comes from: set the header Origin"
	}
	if !slices.Equal(r.Header.Values(requestHeader), []string{requestHeaderValue}) {
		return "it must have the header " + requestHeader + ": " + requestHeaderValue
	}
	return ""
}

// ownOrigin is true for the dashboard's URL, and for the host that the browser
// asked, as with kubectl port-forward.
func (s *Server) ownOrigin(r *http.Request, origin string) bool {
	parsed, err := url.Parse(origin)
	if err != nil || parsed.Host == "" {
		return false
	}
	return strings.EqualFold(origin, s.origin()) || strings.EqualFold(parsed.Host, r.Host)
}

func (s *Server) origin() string {
	return s.config.ExternalURL.Scheme + "://" + s.config.ExternalURL.Host
}

// upgrades is true for a request to speak something else than HTTP.
func upgrades(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect
}
