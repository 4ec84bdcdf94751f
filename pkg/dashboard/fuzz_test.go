package dashboard

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Whatever a request says of where it comes from, it is refused unless that is the
// dashboard itself, and a change without the dashboard's own header always.
func FuzzForeign(f *testing.F) {
	const host = "stores.example.com"
	for _, origin := range []string{"", "https://" + host, "https://flowers." + host, "null", "https://" + host + ":443", "https://" + host + "@evil.example.com", "//" + host, "%zz"} {
		for _, site := range []string{"", "same-origin", "same-site", "none", "cross-site"} {
			f.Add(true, site, origin, requestHeaderValue)
			f.Add(false, site, origin, "")
		}
	}
	s := &Server{config: Config{ExternalURL: &url.URL{Scheme: "https", Host: host}}}
	f.Fuzz(func(t *testing.T, change bool, site, origin, header string) {
		r := httptest.NewRequest(http.MethodGet, "https://"+host+"/k8s/version", nil)
		if change {
			r.Method = http.MethodPost
		}
		for name, value := range map[string]string{"Sec-Fetch-Site": site, "Origin": origin, requestHeader: header} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if s.foreign(r) != "" {
			return
		}
		sites := []string{"", "same-origin"}
		if !change {
			sites = append(sites, "none")
		}
		if !slices.Contains(sites, site) {
			t.Errorf("a request of site %q passes", site)
		}
		if change && (header != requestHeaderValue || site+origin == "") {
			t.Errorf("a change with header %q of nobody knows where passes", header)
		}
		if origin != "" {
			if parsed, err := url.Parse(origin); err != nil || !strings.EqualFold(parsed.Host, host) {
				t.Errorf("a request of origin %q passes", origin)
			}
		}
	})
}
