package tiny

import (
	"io/fs"
	"testing"

	"platform.dev/stores/test/internal/repository"
)

// Serve serves the engine's chart as a repository from folder until the test ends, and
// returns the repository's URL.
func Serve(t testing.TB, folder string) (string, error) {
	chart, err := fs.Sub(Charts, "tiny")
	if err != nil {
		return "", err
	}
	url, _, err := repository.Serve(t, folder, chart)
	return url, err
}
