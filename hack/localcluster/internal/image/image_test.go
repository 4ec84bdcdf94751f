package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var mtime = time.Unix(1704067200, 0).UTC()

// entry is what the tests look at in a tar entry.
type entry struct {
	Name, Link, Content string
	Type                byte
	Mode                int64
	UID, GID            int
}

func TestLayerEntries(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "bin", "tool"), "tool", 0o755)
	write(t, filepath.Join(folder, "z.conf"), "conf", 0o600)
	if err := os.Symlink("bin/tool", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	base, full := filepath.Join(t.TempDir(), "base.tar"), filepath.Join(t.TempDir(), "full.tar")
	writeTar(t, base, entry{Name: "./", Type: tar.TypeDir, Mode: 0o755}, entry{Name: "./same", Type: tar.TypeReg, Content: "1"},
		entry{Name: "./changed", Type: tar.TypeReg, Content: "1"}, entry{Name: "./gone/", Type: tar.TypeDir, Mode: 0o755},
		entry{Name: "./gone/inside", Type: tar.TypeReg})
	writeTar(t, full, entry{Name: "./same", Type: tar.TypeReg, Content: "1"}, entry{Name: "./changed", Type: tar.TypeReg, Content: "2"},
		entry{Name: "./hard", Type: tar.TypeLink, Link: "./same"})

	tests := []struct {
		name   string
		source Source
		want   []entry
	}{
		{"folder at a path", Tree{Source: folder, Target: "/app", UID: 7, GID: 8}, []entry{
			{Name: "app/", Type: tar.TypeDir, Mode: 0o755, UID: 7, GID: 8},
			{Name: "app/bin/", Type: tar.TypeDir, Mode: 0o755, UID: 7, GID: 8},
			{Name: "app/bin/tool", Type: tar.TypeReg, Mode: 0o755, UID: 7, GID: 8, Content: "tool"},
			{Name: "app/link", Type: tar.TypeSymlink, Mode: 0o777, UID: 7, GID: 8, Link: "bin/tool"},
			{Name: "app/z.conf", Type: tar.TypeReg, Mode: 0o600, UID: 7, GID: 8, Content: "conf"},
		}},
		{"folder at the root has no entry of its own", Tree{Source: filepath.Join(folder, "bin"), Target: "/"}, []entry{
			{Name: "tool", Type: tar.TypeReg, Mode: 0o755, Content: "tool"},
		}},
		{"one file", Tree{Source: filepath.Join(folder, "bin", "tool"), Target: "/pause"}, []entry{
			{Name: "pause", Type: tar.TypeReg, Mode: 0o755, Content: "tool"},
		}},
		{"one file behind a link", Tree{Source: filepath.Join(folder, "link"), Target: "/pause"}, []entry{
			{Name: "pause", Type: tar.TypeReg, Mode: 0o755, Content: "tool"},
		}},
		{"tar without its root entry", Archive{Path: base}, []entry{
			{Name: "same", Type: tar.TypeReg, Content: "1"}, {Name: "changed", Type: tar.TypeReg, Content: "1"},
			{Name: "gone/", Type: tar.TypeDir, Mode: 0o755}, {Name: "gone/inside", Type: tar.TypeReg},
		}},
		{"difference", Difference{Base: base, Full: full}, []entry{
			{Name: ".wh.gone", Type: tar.TypeReg, Mode: 0o644}, {Name: "changed", Type: tar.TypeReg, Content: "2"},
			{Name: "hard", Type: tar.TypeLink, Link: "same"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, compression := range []Compression{Zstd, Gzip} {
				cache := LayerCache{Folder: t.TempDir(), Compression: compression, ModTime: mtime}
				layer, err := cache.Layer(test.source)
				if err != nil {
					t.Fatal(err)
				}
				content, err := layer.Uncompressed()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, readEntries(t, content)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", compression, diff)
				}
			}
		})
	}
}

func TestLayerRefusesDevices(t *testing.T) {
	t.Parallel()
	cache := LayerCache{Folder: t.TempDir(), Compression: Zstd, ModTime: mtime}
	if _, err := cache.Layer(Tree{Source: "/dev/null", Target: "/null"}); err == nil {
		t.Error("a device was packed without an error")
	}
}

func TestArchiveIsReproducibleAndNamed(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	write(t, filepath.Join(source, "file"), "content", 0o644)
	var archives [2][]byte
	for i := range archives {
		later := time.Now().Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(filepath.Join(source, "file"), later, later); err != nil {
			t.Fatal(err)
		}
		cache := LayerCache{Folder: t.TempDir(), Compression: Zstd, ModTime: mtime}
		image, err := Build(Spec{
			Layers: []Source{Tree{Source: source, Target: "/"}, Tree{Source: source, Target: "/"}},
			Config: v1.Config{User: "1000"}, Architecture: "amd64",
		}, cache)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "image.tar")
		if err := WriteArchive(file, "platform.dev/test:1", image, mtime); err != nil {
			t.Fatal(err)
		}
		if archives[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds of the same content differ")
	}
	entries := readEntries(t, io.NopCloser(bytes.NewReader(archives[0])))
	var index v1.IndexManifest
	for _, e := range entries {
		if e.Name == "index.json" {
			if err := json.Unmarshal([]byte(e.Content), &index); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations["io.containerd.image.name"] != "platform.dev/test:1" {
		t.Errorf("index does not name the image: %+v", index.Manifests)
	}
	if len(entries) != 5 { // oci-layout, index, manifest, configuration and the one layer used twice
		t.Errorf("archive has %d entries, want 5", len(entries))
	}
}

func TestWriteArchiveRefusesIncompleteName(t *testing.T) {
	t.Parallel()
	if err := WriteArchive(filepath.Join(t.TempDir(), "x.tar"), "nginx", nil, mtime); err == nil {
		t.Error("a name without host and tag was accepted")
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func writeTar(t *testing.T, name string, entries ...entry) {
	t.Helper()
	var buffer bytes.Buffer
	tw := tar.NewWriter(&buffer)
	for _, e := range entries {
		header := &tar.Header{Name: e.Name, Typeflag: e.Type, Mode: e.Mode, Linkname: e.Link, Size: int64(len(e.Content))}
		if err := tw.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, e.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, name, buffer.String(), 0o644)
}

func readEntries(t *testing.T, content io.ReadCloser) []entry {
	t.Helper()
	defer content.Close()
	var entries []entry
	reader := tar.NewReader(content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(mtime) {
			t.Errorf("%s has time %s", header.Name, header.ModTime)
		}
		entries = append(entries, entry{
			Name: header.Name, Link: header.Linkname, Content: string(body), Type: header.Typeflag,
			Mode: header.Mode, UID: header.Uid, GID: header.Gid,
		})
	}
}
