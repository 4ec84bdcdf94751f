package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// origin says where figures come from: the commit, the machine and the versions.
func (m *machinery) origin(ctx context.Context, command string) (string, error) {
	var postgres string
	if err := m.admin.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1)").Scan(&postgres); err != nil {
		return "", fmt.Errorf("asking for PostgreSQL's version: %w", err)
	}
	versions := []string{"PostgreSQL " + postgres}
	for _, p := range []struct{ program, module string }{{etcd, "go.etcd.io/etcd/server/v3"}, {kine, "github.com/k3s-io/kine"}} {
		if version := moduleOf(filepath.Join(m.programs, p.program), p.module); version != "" {
			versions = append(versions, p.program+" "+version)
		}
	}
	commit, err := commit(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("`%s` on %s, commit %s: %s with %d processors, %s of memory; %s; %s.\n",
		command, time.Now().UTC().Format(time.DateOnly), commit, field("/proc/cpuinfo", "model name"), runtime.NumCPU(),
		field("/proc/meminfo", "MemTotal"), strings.Join(versions, ", "), runtime.Version()), nil
}

// moduleOf returns the version of a module that a program was built with, empty if there
// is no such program or module.
func moduleOf(program, module string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return ""
}

// commit names the source, with a mark if it was changed since.
func commit(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "", fmt.Errorf("asking git for the commit: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
}

// field returns the first value of a name in a file of lines "name: value".
func field(file, name string) string {
	content, _ := os.ReadFile(file) // without it there is no value
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
