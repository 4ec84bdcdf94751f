package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"platform.dev/stores/test/bench/internal/report"
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
	machine, err := report.Origin(ctx, command)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; %s; %s.\n", machine, strings.Join(versions, ", "), runtime.Version()), nil
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
