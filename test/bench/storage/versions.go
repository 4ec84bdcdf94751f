package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// versions are those of the programs that were measured, and of Go.
func (m *machinery) versions(ctx context.Context) ([]string, error) {
	var postgres string
	if err := m.admin.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1)").Scan(&postgres); err != nil {
		return nil, fmt.Errorf("asking for PostgreSQL's version: %w", err)
	}
	programs := []string{"PostgreSQL " + postgres}
	for _, p := range []struct{ program, module string }{{etcd, "go.etcd.io/etcd/server/v3"}, {kine, "github.com/k3s-io/kine"}} {
		if version := moduleOf(filepath.Join(m.programs, p.program), p.module); version != "" {
			programs = append(programs, p.program+" "+version)
		}
	}
	return []string{strings.Join(programs, ", "), runtime.Version()}, nil
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
