package assets

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var script = strings.Repeat("console.log('stores');\n", 100)

func newHandler(t *testing.T) *Handler {
	t.Helper()
	h, err := New(fstest.MapFS{
		"index.html":         {Data: []byte("<title>Stores</title>")},
		"icon.svg":           {Data: []byte("<svg/>")},
		"assets/main-Ab1.js": {Data: []byte(script)},
		"data.bin":           {Data: []byte{0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get asks for a path as a browser does and returns the answer, or nil.
func get(h *Handler, method, path string, header map[string]string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	if !h.Serve(w, r) {
		return nil
	}
	return w.Result()
}

func TestServe(t *testing.T) {
	t.Parallel()
	h := newHandler(t)
	page := map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
	for name, test := range map[string]struct {
		path   string
		header map[string]string
		cache  string // "" is no answer
		kind   string
	}{
		"the index":                     {"/", nil, "no-store", "text/html; charset=utf-8"},
		"a page of the interface":       {"/stores/default/flowers", page, "no-store", "text/html; charset=utf-8"},
		"a page with a dot in its name": {"/stores/default/flowers.example", page, "no-store", "text/html; charset=utf-8"},
		"the same path for a script":    {"/stores/default/flowers", nil, "", ""},
		"a hashed file":                 {"/assets/main-Ab1.js", nil, forever, "text/javascript; charset=utf-8"},
		"a hashed file of before":       {"/assets/main-Zz9.js", page, "", ""},
		"another file":                  {"/icon.svg", nil, "no-cache", "image/svg+xml"},
		"a file of an unknown kind":     {"/data.bin", nil, "no-cache", "application/octet-stream"},
		"a file outside":                {"/../assets.go", nil, "", ""},
		"a folder":                      {"/assets", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := get(h, http.MethodGet, test.path, test.header)
			if response == nil {
				if test.cache != "" {
					t.Error("there is no answer")
				}
				return
			}
			if cache, kind := response.Header.Get("Cache-Control"), response.Header.Get("Content-Type"); cache != test.cache || kind != test.kind {
				t.Errorf("answered as %q to keep %q, want %q to keep %q", kind, cache, test.kind, test.cache)
			}
		})
	}
}

// What a browser can unpack is sent packed, and what it has is not sent again.
func TestLittleIsSent(t *testing.T) {
	t.Parallel()
	h := newHandler(t)
	const path = "/assets/main-Ab1.js"
	packed := get(h, http.MethodGet, path, map[string]string{"Accept-Encoding": "br, gzip;q=0.9"})
	if packed.Header.Get("Content-Encoding") != "gzip" || packed.ContentLength >= int64(len(script)) || packed.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("a browser that unpacks got %d bytes with %v", packed.ContentLength, packed.Header)
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(reader); err != nil || string(content) != script {
		t.Errorf("unpacked it is %q, %v", content, err)
	}
	for _, accepted := range []string{"", "br", "gzip;q=0"} {
		plain := get(h, http.MethodGet, path, map[string]string{"Accept-Encoding": accepted})
		if content, err := io.ReadAll(plain.Body); err != nil || string(content) != script || plain.Header.Get("Content-Encoding") != "" {
			t.Errorf("with Accept-Encoding: %s it is %q, %v", accepted, content, err)
		}
	}
	again := get(h, http.MethodGet, path, map[string]string{"Accept-Encoding": "gzip", "If-None-Match": packed.Header.Get("Etag")})
	if content, err := io.ReadAll(again.Body); again.StatusCode != http.StatusNotModified || err != nil || len(content) > 0 {
		t.Errorf("what the browser has was answered with %s, %d bytes, %v", again.Status, len(content), err)
	}
	head := get(h, http.MethodHead, path, nil)
	if content, err := io.ReadAll(head.Body); err != nil || len(content) > 0 || head.ContentLength != int64(len(script)) {
		t.Errorf("HEAD was answered with %d of %d bytes, %v", len(content), head.ContentLength, err)
	}
}

func TestAnInterfaceNeedsAnIndex(t *testing.T) {
	t.Parallel()
	if _, err := New(fstest.MapFS{"main.js": {}}); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("got %v", err)
	}
}
