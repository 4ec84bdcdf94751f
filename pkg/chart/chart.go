// Package chart finds the charts of engines, reads them and renders them. What comes
// of it is a function of the chart and the values: no template reads the cluster or
// resolves a name.
package chart

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// ErrChart is wrapped by every error about a chart that cannot be had or cannot be
// used.
var ErrChart = errors.New("unusable chart")

// Chart is a chart that has been read and found usable. It never changes and
// is safe for concurrent use.
type Chart struct {
	// Name and Version are those of Chart.yaml.
	Name, Version string
	// Digest identifies the chart's files: 32 hexadecimal digits, short enough
	// for a label.
	Digest string

	files []*loader.BufferedFile
}

// newChart checks that files make a chart that a store can be installed from.
func newChart(files []*loader.BufferedFile) (*Chart, error) {
	slices.SortFunc(files, func(a, b *loader.BufferedFile) int { return strings.Compare(a.Name, b.Name) })
	c := &Chart{Digest: digest(files), files: files}
	parsed, err := c.Parse()
	if err != nil {
		return nil, err
	}
	if t := parsed.Metadata.Type; t != "" && t != "application" {
		return nil, fmt.Errorf("%w: %s is a %s chart", ErrChart, parsed.Name(), t)
	}
	// Stores share the cluster, and what is cluster-wide is not theirs to change.
	if len(parsed.CRDObjects()) > 0 {
		return nil, fmt.Errorf("%w: %s brings CustomResourceDefinitions", ErrChart, parsed.Name())
	}
	c.Name, c.Version = parsed.Name(), parsed.Metadata.Version
	return c, nil
}

// Parse makes a fresh Helm chart. Helm changes charts while it renders them, so
// no two actions may share one.
func (c *Chart) Parse() (*chart.Chart, error) {
	parsed, err := loader.LoadFiles(c.files)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	return parsed, nil
}

func readArchive(r io.Reader) (*Chart, error) {
	files, err := loader.LoadArchiveFiles(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	return newChart(files)
}

func readDir(fsys fs.FS, dir string) (*Chart, error) {
	sub, err := fs.Sub(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	var files []*loader.BufferedFile
	err = fs.WalkDir(sub, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(sub, path)
		files = append(files, &loader.BufferedFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	return newChart(files)
}

// digest hashes sorted files. Lengths are hashed too, so that no content can
// pass for the end of one file and the start of the next.
func digest(files []*loader.BufferedFile) string {
	h := sha256.New()
	for _, f := range files {
		for _, part := range [][]byte{[]byte(f.Name), f.Data} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			h.Write(part)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
