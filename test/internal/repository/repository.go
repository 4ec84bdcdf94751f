// Package repository serves charts as a chart repository does.
package repository

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Serve packs the chart of these files into folder and serves it from there until the
// test ends. It returns the repository's URL and the chart's file.
func Serve(t testing.TB, folder string, files fs.FS) (url, archive string, err error) {
	var read []*loader.BufferedFile
	if err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		read = append(read, &loader.BufferedFile{Name: name, Data: data})
		return err
	}); err != nil {
		return "", "", err
	}
	chart, err := loader.LoadFiles(read)
	if err != nil {
		return "", "", fmt.Errorf("reading the chart: %w", err)
	}
	if archive, err = chartutil.Save(chart, folder); err != nil {
		return "", "", fmt.Errorf("packing the chart: %w", err)
	}
	index := fmt.Sprintf("apiVersion: v1\nentries:\n  %s:\n    - {apiVersion: v2, name: %s, version: %s, urls: [%s]}\n",
		chart.Name(), chart.Name(), chart.Metadata.Version, filepath.Base(archive))
	if err := os.WriteFile(filepath.Join(folder, "index.yaml"), []byte(index), 0o600); err != nil {
		return "", "", err
	}
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	return server.URL, archive, nil
}
