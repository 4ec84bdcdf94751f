// Package repository serves charts as a chart repository does.
package repository

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Serve packs a chart into folder and serves it from there until the test ends. It
// returns the repository's URL and the chart's file.
func Serve(t testing.TB, folder string, c *chart.Chart) (url, archive string, err error) {
	if archive, err = chartutil.Save(c, folder); err != nil {
		return "", "", fmt.Errorf("packing the chart: %w", err)
	}
	index := fmt.Sprintf("apiVersion: v1\nentries:\n  %s:\n    - {apiVersion: v2, name: %s, version: %s, urls: [%s]}\n",
		c.Name(), c.Name(), c.Metadata.Version, filepath.Base(archive))
	if err := os.WriteFile(filepath.Join(folder, "index.yaml"), []byte(index), 0o600); err != nil {
		return "", "", err
	}
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	return server.URL, archive, nil
}
