package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	cacherDir     = "pkg/storage/cacher"
	cacherPackage = "k8s.io/apiserver/" + cacherDir
	// setupFile makes the storage of all tests of the watch cache.
	setupFile = "cacher_testing_utils_test.go"
)

// setup takes its place. It only compiles there, so that it is not called a Go file here.
//
//go:embed testdata/cacher_testing_utils_test.go.txt
var setup []byte

// upstreamDir returns where the source of the API server is that the platform is built
// with.
func upstreamDir(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/apiserver").Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of the API server: %w", err)
	}
	return strings.TrimSpace(string(dir)), nil
}

// makeWorkspace returns a Go workspace in which the tests of the watch cache use our
// storage. It holds a copy of the API server's module, as nothing may be put in place of a
// file in the module cache. The folder is always the same one, so that what is
// built in it can be used again.
func makeWorkspace(upstream string) (string, error) {
	dir, err := filepath.Abs("_output/storage")
	if err != nil {
		return "", err
	}
	module := filepath.Join(dir, filepath.Base(upstream))
	if err := copyOnce(upstream, module); err != nil {
		return "", err
	}
	target := filepath.Join(module, cacherDir, setupFile)
	if _, err := os.Stat(target); err != nil {
		return "", fmt.Errorf("the API server has changed how its tests are set up: %w", err)
	}
	if err := os.WriteFile(target, setup, 0o644); err != nil {
		return "", err
	}
	sums, err := os.ReadFile("go.work.sum")
	if err != nil {
		return "", err
	}
	workspace := filepath.Join(dir, "go.work")
	content := fmt.Sprintf("go 1.26.0\n\nuse (\n\t../..\n\t./%s\n)\n", filepath.Base(module))
	return workspace, errors.Join(
		os.WriteFile(workspace, []byte(content), 0o644),
		os.WriteFile(workspace+".sum", sums, 0o644))
}

// copyOnce copies a folder unless that has been done before.
func copyOnce(from, to string) error {
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := to + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.CopyFS(partial, os.DirFS(from))); err != nil {
		return err
	}
	return os.Rename(partial, to)
}
