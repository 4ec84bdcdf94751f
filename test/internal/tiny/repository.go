package tiny

import (
	"fmt"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"

	"platform.dev/stores/test/internal/repository"
)

// Serve serves the engine's chart as a repository from folder until the test ends, and
// returns the repository's URL.
func Serve(t testing.TB, folder string) (string, error) {
	var files []*loader.BufferedFile
	for name, file := range Charts {
		files = append(files, &loader.BufferedFile{Name: strings.TrimPrefix(name, "tiny/"), Data: file.Data})
	}
	chart, err := loader.LoadFiles(files)
	if err != nil {
		return "", fmt.Errorf("reading the chart: %w", err)
	}
	url, _, err := repository.Serve(t, folder, chart)
	return url, err
}
