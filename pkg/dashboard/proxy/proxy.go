// Package proxy passes requests on to the kube API with the user's own token, and
// nothing that the browser could use to be somebody else.
package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"

	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/dashboard/kube"
)

// Prefix is where the kube API begins in the dashboard.
const Prefix = "/k8s/"

// maxUserAgent bounds what of the browser's name comes into the cluster's audit log.
const maxUserAgent = 256

// requestHeaders and responseHeaders are all that passes. Identity, cookies, hops
// and proxies are the dashboard's own business.
var (
	requestHeaders  = []string{"Accept", "Accept-Encoding", "Content-Type", "If-Match", "If-None-Match"}
	responseHeaders = []string{"Audit-Id", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Retry-After", "Vary", "Warning"}
)

// Proxy passes requests on.
type Proxy struct {
	api     *kube.API
	reverse *httputil.ReverseProxy
}

// New returns a proxy to the API. It calls fail for requests that get no answer.
func New(api *kube.API, fail func(w http.ResponseWriter, r *http.Request, err error)) *Proxy {
	p := &Proxy{api: api}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		ModifyResponse: modifyResponse,
		Transport:      api.Transport,
		// Watches and logs go on as they come.
		FlushInterval: -1,
		ErrorHandler:  fail,
		ErrorLog:      nil,
	}
	return p
}

// target is where a request goes, and as whom.
type target struct{ path, token string }

type targetKey struct{}

// Serve passes r on to the path that Allowed returned, with token. When the
// context of r ends, so does the answer, as if it were complete: a watch then
// begins again, as after any other end.
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, path, token string) {
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), targetKey{}, target{path, token})))
}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	to := r.In.Context().Value(targetKey{}).(target)
	address := p.api.URL.JoinPath(to.path)
	r.Out.URL = &url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path, RawQuery: r.In.URL.RawQuery}
	r.Out.Host = address.Host
	r.Out.Header = http.Header{}
	copyHeaders(r.Out.Header, r.In.Header, requestHeaders)
	r.Out.Header.Set("User-Agent", userAgent(r.In.UserAgent()))
	r.Out.Header.Set("Authorization", "Bearer "+to.token)
	r.Out.Trailer = nil
}

// userAgent says in the cluster's audit log that the user came by the dashboard.
func userAgent(browser string) string {
	return "stores-dashboard/" + version.Get().GitVersion + " " + browser[:min(len(browser), maxUserAgent)]
}

func modifyResponse(response *http.Response) error {
	if response.StatusCode == http.StatusSwitchingProtocols || response.StatusCode >= 300 && response.StatusCode < 400 && response.StatusCode != http.StatusNotModified {
		return errors.New("the kube API leads elsewhere")
	}
	passed := http.Header{}
	copyHeaders(passed, response.Header, responseHeaders)
	response.Header = passed
	response.Trailer = nil
	response.Body = &body{response.Body, response.Request.Context()}
	return nil
}

func copyHeaders(to, from http.Header, names []string) {
	for _, name := range names {
		if values := from.Values(name); len(values) > 0 {
			to[name] = values
		}
	}
}

// body is an answer that is complete once the request's context has ended.
type body struct {
	io.ReadCloser
	ctx context.Context
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		klog.FromContext(b.ctx).V(4).Info("Ended an answer of the kube API", "reason", context.Cause(b.ctx))
		return n, io.EOF
	}
	return n, err
}
