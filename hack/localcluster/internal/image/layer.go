package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Source produces the entries of one layer. It must write the same bytes each
// time it is asked.
type Source interface {
	writeTo(tw *tar.Writer, mtime time.Time) error
}

// Compression is how layers are stored in the archive.
type Compression string

const (
	// Zstd packs about three times faster than Gzip, and smaller.
	Zstd Compression = "zstd"
	// Gzip is understood by every container runtime.
	Gzip Compression = "gzip"
)

func (c Compression) mediaType() types.MediaType {
	if c == Gzip {
		return types.OCILayer
	}
	return types.OCILayerZStd
}

func (c Compression) writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case Zstd:
		return zstd.NewWriter(w)
	}
	return nil, fmt.Errorf("unknown compression %q: want %s or %s", c, Zstd, Gzip)
}

// LayerCache packs layers and keeps them by content: a layer that was packed
// before, for this image or another one, is not compressed again.
type LayerCache struct {
	// Folder holds the compressed layers. It is created when missing.
	Folder string
	// Compression of the layers.
	Compression Compression
	// ModTime becomes the modification time of every entry. It must not be the
	// Unix epoch: PHP's opcache, for one, takes that for "do not cache".
	ModTime time.Time
}

// Layer returns the packed form of source.
func (c LayerCache) Layer(source Source) (v1.Layer, error) {
	diffID, err := c.diffID(source)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(c.Folder, diffID.Hex+".tar."+string(c.Compression))
	if _, err := os.Stat(name); os.IsNotExist(err) {
		if err := c.pack(source, name); err != nil {
			return nil, err
		}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	digest, size, err := v1.SHA256(file)
	if err != nil {
		return nil, fmt.Errorf("hashing %s: %w", name, err)
	}
	return partial.CompressedToLayer(packedLayer{file: name, digest: digest, diffID: diffID, size: size, mediaType: c.Compression.mediaType()})
}

func (c LayerCache) diffID(source Source) (v1.Hash, error) {
	hash := sha256.New()
	if err := c.writeTar(source, hash); err != nil {
		return v1.Hash{}, err
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}, nil
}

func (c LayerCache) writeTar(source Source, w io.Writer) error {
	tw := tar.NewWriter(w)
	if err := source.writeTo(tw, c.ModTime); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return tw.Close()
}

// pack writes the compressed layer under a temporary name first, so that an
// interrupted run leaves no half layer that a later one would take for whole.
func (c LayerCache) pack(source Source, name string) error {
	if err := os.MkdirAll(c.Folder, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(c.Folder, ".layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	compressor, err := c.Compression.writer(file)
	if err != nil {
		return err
	}
	if err := c.writeTar(source, compressor); err != nil {
		return err
	}
	if err := compressor.Close(); err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// packedLayer is a compressed layer in the cache; package partial derives the
// uncompressed view from it.
type packedLayer struct {
	file           string
	digest, diffID v1.Hash
	size           int64
	mediaType      types.MediaType
}

// Digest implements partial.CompressedLayer.
func (l packedLayer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID saves package partial from uncompressing the layer to find it out.
func (l packedLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size implements partial.CompressedLayer.
func (l packedLayer) Size() (int64, error) { return l.size, nil }

// MediaType implements partial.CompressedLayer.
func (l packedLayer) MediaType() (types.MediaType, error) { return l.mediaType, nil }

// Compressed implements partial.CompressedLayer.
func (l packedLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.file) }

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
