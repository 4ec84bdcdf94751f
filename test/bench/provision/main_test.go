package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The benchmark works: how fast the provisioner is, is not judged here, but how often it
// asks is.
func TestFewStores(t *testing.T) {
	var out, progress strings.Builder
	file := filepath.Join(t.TempDir(), "new", "results.md")
	if err := run(t.Context(), []string{
		"-output=" + file, "-stores=3", "-settle=5s", "-steady=2s", "-patience=1m",
	}, &out, &progress); err != nil {
		t.Fatalf("%v; `make build` makes the programs\n%s", err, progress.String())
	}
	table := out.String()
	for _, row := range []string{
		"stores per minute", "provisioner: peak memory, MiB", "CPU per store: etcd, ms", "requests per store", "create namespaces",
	} {
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row) + ` \| [0-9.,]+`).MatchString(table) {
			t.Errorf("no figure in row %q", row)
		}
	}
	for _, line := range []string{"| create secrets | 2 | 0 |", "| steady minute: writes | 0 | 0 | 0 |", "| steady minute: reads | 0 | 0 | 0 |"} {
		if !strings.Contains(table, line) {
			t.Errorf("no line %q", line)
		}
	}
	if regexp.MustCompile(`(?m)^\| requests per store \| [^|]*missed`).MatchString(table) {
		t.Error("a store costs more requests than it may")
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(written), table) || !regexp.MustCompile(`commit [0-9a-f]{7}.* processors`).Match(written) {
		t.Errorf("the file does not say where its figures come from:\n%s", written)
	}
	if t.Failed() {
		t.Log(table)
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ name, flag, want string }{
		{"no number", "-stores=many", "-stores"},
		{"no stores", "-stores=100,0", "-stores"},
		{"no workers", "-workers=0", "-workers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parse([]string{test.flag}, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that names %s", err, test.want)
			}
		})
	}
}

// Requests are counted by what they do, and only the provisioner's.
func TestAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	line := func(user, verb, stage, resource, subresource string) string {
		return `{"stage":"` + stage + `","verb":"` + verb + `","user":{"username":"` + user +
			`"},"requestURI":"/x?y","objectRef":{"resource":"` + resource + `","subresource":"` + subresource + `"}}` + "\n"
	}
	const us = "system:serviceaccount:platform-system:platform-provisioner"
	log := line(us, "create", "ResponseComplete", "secrets", "") + line("someone", "create", "ResponseComplete", "secrets", "") +
		line(us, "watch", "ResponseStarted", "pods", "") + line(us, "watch", "ResponseComplete", "pods", "") +
		line(us, "update", "ResponseComplete", "leases", "")
	last := line(us, "update", "ResponseComplete", "stores", "status")
	a := &audit{path: path, user: us}
	var first requests
	for _, content := range []string{log + last[:20], log + last} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := a.read()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
			continue
		}
		if since := got.minus(first); len(since) != 1 || since[operation{"update", "stores/status"}] != 1 {
			t.Errorf("the second time came %v, want the line that was not whole before", since)
		}
		for name, test := range map[string]struct {
			kind func(operation) bool
			want int
		}{"writes": {isWrite, 2}, "watches": {isWatch, 1}, "leases": {isLease, 1}, "reads": {isRead, 0}} {
			if n := got.of(test.kind); n != test.want {
				t.Errorf("%d %s, want %d", n, name, test.want)
			}
		}
	}
}

func TestTargets(t *testing.T) {
	f := &figures{stores: 1000, provisioning: span{took: time.Minute}, peak: 300 << 20}
	for _, row := range rows() {
		missed := strings.HasSuffix(row.cell(f), "(missed)")
		if want := row.name == "provisioner: peak memory, MiB"; missed != want {
			t.Errorf("%s: %s", row.name, row.cell(f))
		}
	}
}
