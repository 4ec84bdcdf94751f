package cluster

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"platform.dev/stores/hack/localcluster/internal/image"
)

const (
	pauseImage   = "platform.dev/localcluster/pause:1"
	coreDNSImage = "platform.dev/localcluster/coredns:1"

	containerdSocket = RunDir + "/containerd.sock"
)

// packImages makes the images of the cluster's own pods out of its binaries.
func (c Config) packImages() ([]string, error) {
	cache := image.LayerCache{
		Folder: filepath.Join(c.imagesDir(), ".layers"), Compression: image.Zstd, ModTime: time.Unix(1704067200, 0).UTC(),
	}
	var archives []string
	for program, tag := range map[string]string{"pause": pauseImage, "coredns": coreDNSImage} {
		built, err := image.Build(image.Spec{
			Architecture: runtime.GOARCH,
			Layers:       []image.Source{image.Tree{Source: filepath.Join(c.Bin, program), Target: "/" + program}},
			Config:       v1.Config{User: "65535:65535", Entrypoint: []string{"/" + program}, WorkingDir: "/"},
		}, cache)
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", tag, err)
		}
		archive := filepath.Join(c.imagesDir(), program+".tar")
		if err := image.WriteArchive(archive, tag, built, cache.ModTime); err != nil {
			return nil, fmt.Errorf("packing %s: %w", tag, err)
		}
		archives = append(archives, archive)
	}
	return archives, nil
}

// imagesDir is kept when the cluster is stopped.
func (c Config) imagesDir() string { return filepath.Join(filepath.Dir(c.Output), "images") }

// LoadImages imports OCI archives into the cluster in folder output. Images that
// are there already, with the same content, are left alone. It returns the names
// of those imported.
func LoadImages(ctx context.Context, output string, archives []string) ([]string, error) {
	if _, err := loadState(output); err != nil {
		return nil, err
	}
	return importImages(ctx, archives)
}

func importImages(ctx context.Context, archives []string) ([]string, error) {
	present, err := presentImages(ctx)
	if err != nil {
		return nil, err
	}
	var imported []string
	for _, archive := range archives {
		name, digest, err := archiveImage(archive)
		if err != nil {
			return nil, err
		}
		if present[name] == digest {
			continue
		}
		if _, err := ctr(ctx, "images", "import", archive); err != nil {
			return nil, fmt.Errorf("importing %s: %w", archive, err)
		}
		imported = append(imported, name)
	}
	return imported, nil
}

// archiveImage reads the name and the manifest digest of the image in an archive.
func archiveImage(archive string) (name, digest string, err error) {
	file, err := os.Open(archive)
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return "", "", fmt.Errorf("%s is not an OCI archive: it has no index.json", archive)
		}
		if err != nil {
			return "", "", fmt.Errorf("reading %s: %w", archive, err)
		}
		if header.Name != "index.json" {
			continue
		}
		var index v1.IndexManifest
		if err := json.NewDecoder(reader).Decode(&index); err != nil {
			return "", "", fmt.Errorf("reading the index of %s: %w", archive, err)
		}
		if len(index.Manifests) != 1 || index.Manifests[0].Annotations["io.containerd.image.name"] == "" {
			return "", "", fmt.Errorf("%s must hold one image with the annotation io.containerd.image.name", archive)
		}
		manifest := index.Manifests[0]
		return manifest.Annotations["io.containerd.image.name"], manifest.Digest.String(), nil
	}
}

// presentImages maps the names of imported images to their digests.
func presentImages(ctx context.Context) (map[string]string, error) {
	output, err := ctr(ctx, "images", "list")
	if err != nil {
		return nil, err
	}
	images := map[string]string{}
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) > 2 {
			images[fields[0]] = fields[2]
		}
	}
	return images, nil
}

// ctr runs containerd's client on the images and containers of Kubernetes.
func ctr(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "ctr", append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, arguments...)...)
	var problem strings.Builder
	command.Stderr = &problem
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w: %s", strings.Join(command.Args, " "), err, strings.TrimSpace(problem.String()))
	}
	return string(output), nil
}
