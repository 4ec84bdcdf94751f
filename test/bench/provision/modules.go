package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// moduleFolder returns where the source is of what a folder of hack builds.
func moduleFolder(ctx context.Context, name, module string) (string, error) {
	find := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	find.Dir, find.Env = filepath.Join("hack", name), append(os.Environ(), "GOWORK=off")
	folder, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", module, err)
	}
	return strings.TrimSpace(string(folder)), nil
}
