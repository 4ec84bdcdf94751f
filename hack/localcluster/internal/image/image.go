// Package image builds container images and writes them as OCI archives, which
// containerd imports as they are: no container engine and no registry is needed.
// The same input gives the same bytes on every machine.
package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec describes an image.
type Spec struct {
	// Layers from the bottom up.
	Layers []Source
	// Config is what containers of the image start with.
	Config v1.Config
	// Architecture is the Go name of the processor the content is for.
	Architecture string
}

// Build packs the layers through the cache and assembles the image.
func Build(spec Spec, cache LayerCache) (v1.Image, error) {
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, source := range spec.Layers {
		layer, err := cache.Layer(source)
		if err != nil {
			return nil, err
		}
		mediaType, err := layer.MediaType()
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: mediaType})
		if err != nil {
			return nil, fmt.Errorf("appending a layer: %w", err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", spec.Architecture
	config.Created = v1.Time{Time: cache.ModTime}
	config.Config = spec.Config
	return mutate.ConfigFile(image, config)
}

// WriteArchive writes image under tag, its full name such as
// platform.dev/pause:1, as an OCI archive. It replaces the file only when all of
// it is there.
func WriteArchive(file, tag string, image v1.Image, mtime time.Time) error {
	reference, err := name.NewTag(tag, name.StrictValidation)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	tw := tar.NewWriter(out)
	if err := writeLayout(archiveWriter{tw, mtime}, reference, image); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := tw.Close(); err != nil {
		return err
	}
	if err := out.Chmod(0o644); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

func writeLayout(archive archiveWriter, tag name.Tag, image v1.Image) error {
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
		Annotations: map[string]string{
			"io.containerd.image.name":          tag.Name(),
			"org.opencontainers.image.ref.name": tag.TagStr(),
		},
	}})
	rawIndex, err := index.RawManifest()
	if err != nil {
		return err
	}
	layout, err := json.Marshal(map[string]string{"imageLayoutVersion": "1.0.0"})
	if err != nil {
		return err
	}
	if err := archive.add("oci-layout", bytes.NewReader(layout), int64(len(layout))); err != nil {
		return err
	}
	if err := archive.add("index.json", bytes.NewReader(rawIndex), int64(len(rawIndex))); err != nil {
		return err
	}
	return writeBlobs(archive, image)
}

func writeBlobs(archive archiveWriter, image v1.Image) error {
	written := map[v1.Hash]bool{}
	blob := func(digest v1.Hash, content io.Reader, size int64) error {
		if written[digest] {
			return nil
		}
		written[digest] = true
		return archive.add("blobs/sha256/"+digest.Hex, content, size)
	}
	for _, part := range []struct {
		digest func() (v1.Hash, error)
		raw    func() ([]byte, error)
	}{{image.Digest, image.RawManifest}, {image.ConfigName, image.RawConfigFile}} {
		digest, err := part.digest()
		if err != nil {
			return err
		}
		raw, err := part.raw()
		if err != nil {
			return err
		}
		if err := blob(digest, bytes.NewReader(raw), int64(len(raw))); err != nil {
			return err
		}
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := writeLayer(layer, blob); err != nil {
			return err
		}
	}
	return nil
}

func writeLayer(layer v1.Layer, blob func(v1.Hash, io.Reader, int64) error) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	size, err := layer.Size()
	if err != nil {
		return err
	}
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	return blob(digest, content, size)
}

// archiveWriter adds files of one fixed time to a tar stream.
type archiveWriter struct {
	*tar.Writer
	mtime time.Time
}

func (a archiveWriter) add(name string, content io.Reader, size int64) error {
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: a.mtime}
	if err := a.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(a.Writer, content)
	return err
}
