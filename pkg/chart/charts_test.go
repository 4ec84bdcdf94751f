package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

// shop returns the files of the chart in testdata, in a folder of their own.
func shop(t testing.TB) fstest.MapFS {
	t.Helper()
	found, files := os.DirFS("testdata/charts"), fstest.MapFS{}
	if err := fs.WalkDir(found, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(found, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func archive(t testing.TB, files fstest.MapFS) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for path, file := range files {
		if err := tw.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(file.Data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(file.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestLoadBuiltin(t *testing.T) {
	t.Parallel()
	charts := NewCharts(shop(t))
	chart, err := charts.Load(t.Context(), Source{Builtin: "shop"})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if chart.Name != "shop" || chart.Version != "1.2.3" || len(chart.Digest) != 32 {
		t.Errorf("got chart %s %s with digest %s", chart.Name, chart.Version, chart.Digest)
	}
	again, err := charts.Load(t.Context(), Source{Builtin: "shop"})
	if err != nil || again != chart {
		t.Errorf("the chart was read twice (error %v)", err)
	}
}

func TestDigestFollowsContent(t *testing.T) {
	t.Parallel()
	load := func(files fs.FS) string {
		t.Helper()
		chart, err := NewCharts(files).Load(t.Context(), Source{Builtin: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		return chart.Digest
	}
	changed := shop(t)
	changed["shop/values.yaml"] = &fstest.MapFile{Data: []byte("title: other\n")}
	first, again := load(shop(t)), load(shop(t))
	if first != again {
		t.Errorf("the same files have the digests %s and %s", first, again)
	}
	if first == load(changed) {
		t.Error("different files have the same digest")
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	with := func(path, data string) fs.FS {
		files := shop(t)
		files["shop/"+path] = &fstest.MapFile{Data: []byte(data)}
		return files
	}
	for name, tc := range map[string]struct {
		builtin fs.FS
		source  Source
	}{
		"a chart that is not there":    {fstest.MapFS{}, Source{Builtin: "shop"}},
		"a folder outside":             {shop(t), Source{Builtin: "../shop"}},
		"a broken Chart.yaml":          {with("Chart.yaml", "{"), Source{Builtin: "shop"}},
		"a library chart":              {with("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ntype: library\n"), Source{Builtin: "shop"}},
		"CustomResourceDefinitions":    {with("crds/a.yaml", "kind: CustomResourceDefinition\n"), Source{Builtin: "shop"}},
		"a registry without a version": {nil, Source{OCI: "oci://127.0.0.1:1/shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if chart, err := NewCharts(tc.builtin).Load(t.Context(), tc.source); !errors.Is(err, ErrChart) || chart != nil {
				t.Errorf("got chart %v and error %v, want ErrChart", chart, err)
			}
		})
	}
}

func TestLoadFromRepository(t *testing.T) {
	t.Parallel()
	data := archive(t, shop(t))
	for name, tc := range map[string]struct {
		digest, version string
		wantErr         string
	}{
		"with its digest":    {fmt.Sprintf("%x", sha256.Sum256(data)), "1.2.3", ""},
		"without a digest":   {"", "1.2.3", ""},
		"with a wrong one":   {strings.Repeat("0", 64), "1.2.3", "digest"},
		"an unknown version": {"", "9.9.9", "no chart version found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				switch r.URL.Path {
				case "/charts/index.yaml":
					_, _ = fmt.Fprintf(w, "apiVersion: v1\nentries:\n  shop:\n  - {name: shop, version: 1.2.3, digest: %q, urls: [shop-1.2.3.tgz]}\n", tc.digest)
				case "/charts/shop-1.2.3.tgz":
					_, _ = w.Write(data)
				default:
					http.NotFound(w, r)
				}
			}))
			defer server.Close()
			charts := NewCharts(nil)
			source := Source{RepositoryURL: server.URL + "/charts", RepositoryChart: "shop", Version: tc.version}
			chart, err := charts.Load(t.Context(), source)
			if tc.wantErr != "" {
				if !errors.Is(err, ErrChart) || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("got error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || chart.Version != "1.2.3" {
				t.Fatalf("Load: got %v, %v", chart, err)
			}
			before := requests.Load()
			if _, err := charts.Load(t.Context(), source); err != nil || requests.Load() != before {
				t.Errorf("the chart was fetched twice (error %v)", err)
			}
		})
	}
}

func TestDownloadIsBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte(" "), 2<<10))
	}))
	t.Cleanup(server.Close)
	for name, source := range map[string]Source{
		"a repository": {RepositoryURL: server.URL, RepositoryChart: "shop", Version: "1.2.3"},
		"a registry":   {OCI: "oci://" + strings.TrimPrefix(server.URL, "http://") + "/shop", Version: "1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			charts := NewCharts(nil)
			charts.MaxDownload, charts.plainHTTP = 1<<10, true
			if _, err := charts.Load(context.Background(), source); !errors.Is(err, ErrChart) || !strings.Contains(err.Error(), "larger than 1 KiB") {
				t.Errorf("got error %v, want one that tells the limit", err)
			}
		})
	}
}

func TestLoadFromRegistry(t *testing.T) {
	t.Parallel()
	blobs := map[string][]byte{}
	blob := func(mediaType string, data []byte) map[string]any {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
		blobs[digest] = data
		return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(data)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        blob("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"shop","version":"1.2.3","apiVersion":"v2"}`)),
		"layers":        []any{blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive(t, shop(t)))},
	})
	if err != nil {
		t.Fatal(err)
	}
	manifestDigest := blob("", manifest)["digest"].(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if name == "1.2.3" {
			name = manifestDigest
		}
		data, ok := blobs[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if name == manifestDigest {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		}
		w.Header().Set("Docker-Content-Digest", name)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer server.Close()

	charts := NewCharts(nil)
	charts.plainHTTP = true
	chart, err := charts.Load(context.Background(), Source{OCI: "oci://" + strings.TrimPrefix(server.URL, "http://") + "/charts/shop", Version: "1.2.3"})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if chart.Name != "shop" || chart.Version != "1.2.3" {
		t.Errorf("got chart %s %s", chart.Name, chart.Version)
	}
}
