// Package assets serves the files of the user interface.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	// index is the page that every address of the interface begins with.
	index = "index.html"
	// hashed is the folder of files whose names change with their content.
	hashed = "assets/"

	forever = "public, max-age=31536000, immutable"
)

// contentTypes are by extension; the image of the dashboard has no list of them.
// What is not here is downloaded, not shown.
var contentTypes = map[string]string{
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".ico":         "image/x-icon",
	".jpg":         "image/jpeg",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".map":         "application/json",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
	".webp":        "image/webp",
	".woff2":       "font/woff2",
}

// compressed are the types that are not compressed already.
var compressed = []string{".css", ".html", ".js", ".json", ".map", ".svg", ".txt", ".webmanifest"}

type file struct {
	plain, gzip  []byte
	contentType  string
	etag         string
	cacheControl string
}

// Handler serves files from memory, compressed once.
type Handler struct{ files map[string]*file }

// New reads all files of content, which must have an index.html.
func New(content fs.FS) (*Handler, error) {
	h := &Handler{files: map[string]*file{}}
	err := fs.WalkDir(content, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		h.files[name], err = load(content, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the user interface: %w", err)
	}
	if h.files[index] == nil {
		return nil, errors.New("the user interface has no " + index)
	}
	return h, nil
}

func load(content fs.FS, name string) (*file, error) {
	plain, err := fs.ReadFile(content, name)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(plain)
	extension := path.Ext(name)
	f := &file{plain: plain, contentType: contentTypes[extension], etag: hex.EncodeToString(digest[:8])}
	if f.contentType == "" {
		f.contentType = "application/octet-stream"
	}
	switch {
	case strings.HasPrefix(name, hashed):
		f.cacheControl = forever
	case name == index:
		f.cacheControl = "no-store"
	default:
		f.cacheControl = "no-cache" // asked for again, and not sent again if unchanged
	}
	if slices.Contains(compressed, extension) {
		var buffer bytes.Buffer
		writer, err := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := writer.Write(plain); err != nil {
			return nil, err
		}
		if err := writer.Close(); err != nil {
			return nil, err
		}
		if buffer.Len() < len(plain) {
			f.gzip = buffer.Bytes()
		}
	}
	return f, nil
}

// Serve answers with the file that r asks for. An address of the interface that is
// no file, opened in a browser, gets the index, which knows what to show. It
// returns false if there is nothing to answer with.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) bool {
	name := strings.TrimPrefix(r.URL.Path, "/")
	f := h.files[name]
	if f == nil && !strings.HasPrefix(name, hashed) && (name == "" || wantsPage(r)) {
		f = h.files[index]
	}
	if f == nil {
		return false
	}
	f.serve(w, r)
	return true
}

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", f.cacheControl)
	header.Set("Content-Type", f.contentType)
	content, etag := f.plain, `"`+f.etag+`"`
	if f.gzip != nil {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			content, etag = f.gzip, `"`+f.etag+`-gzip"`
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // the client has gone
	}
}

func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(name, "gzip") {
			return strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return false
}
