package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The benchmark works: what it measures is not judged here.
func TestQuickForm(t *testing.T) {
	var out, progress strings.Builder
	file := filepath.Join(t.TempDir(), "new", "results.md")
	err := run(t.Context(), []string{
		"-output=" + file, "-programs=../../../_output/bin", "-contenders=ours,etcd", "-rounds=1", "-duration=200ms", "-clients=1,4",
		"-workloads=create,watch,consistent-list",
	}, &out, &progress)
	if err != nil || strings.Contains(progress.String(), "failed") {
		t.Fatalf("error %v; `make build` makes the programs\n%s", err, progress.String())
	}
	table := out.String()
	for _, row := range []string{
		"create, 1 client, /s",
		"create, 4 clients, /s",
		"watch at 200 writes/s, p50, ms",
		"consistent list after another resource's write, p50, ms",
	} {
		cell := ` [0-9.,]+( \([^|]+\))? \|`
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row) + ` \|` + cell + cell).MatchString(table) {
			t.Errorf("no figures of ours and etcd in row %q", row)
		}
	}
	if lost := `| ` + lossRow + ` | 0 | 0 |`; !strings.Contains(table, lost) {
		t.Errorf("no line %q", lost)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(written), table) || !regexp.MustCompile(`commit [0-9a-f]{7}.*PostgreSQL [0-9]+.*etcd v3`).Match(written) {
		t.Errorf("the file does not say where its figures come from:\n%s", written)
	}
	if t.Failed() {
		t.Log(table)
	}
}

// The statements that load data fit the schema, and what they load reads as pods.
func TestGrowth(t *testing.T) {
	var out, progress strings.Builder
	picture := filepath.Join(t.TempDir(), "growth.svg")
	if err := run(t.Context(), []string{"-growth", picture, "-objects=1000", "-duration=50ms"}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	for _, row := range []string{"create", "update", "get", "first page of 500", "later page of 500", "start of a watch"} {
		if !regexp.MustCompile(`(?m)^\| ` + row + ` \|( [0-9.,]+ \([0-9.,]+\) \|){5} [0-9.,]+× \|$`).MatchString(out.String()) {
			t.Errorf("no costs of %s at five sizes", row)
		}
	}
	drawn, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if curves := strings.Count(string(drawn), "<polyline"); curves != 6 {
		t.Errorf("%d curves, want 6", curves)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ name, flag, want string }{
		{"no number", "-clients=many", "-clients"},
		{"no clients", "-clients=0", "-clients"},
		{"unknown contender", "-contenders=ours,mysql", `"mysql"`},
		{"the ceiling is no contender", "-contenders=pgbench", `"pgbench"`},
		{"too few objects", "-objects=5", "-objects"},
		{"unknown workload", "-workloads=create,sleep", `"sleep"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse([]string{test.flag}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that names %s", err, test.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	throughput := rate("x", than(etcd, 2), bound(100))
	delay := latency("x", than(etcd, 5), bound(2))
	for _, test := range []struct {
		name       string
		row        row
		ours, etcd []float64 // by round
		want       string
	}{
		{"more is better", throughput, []float64{300}, []float64{100}, "met"},
		{"too little", throughput, []float64{150}, []float64{100}, "missed: 1.5× etcd"},
		{"below the bound", throughput, []float64{90}, []float64{10}, "missed: 90"},
		{"less is better", delay, []float64{1}, []float64{10}, "met"},
		{"too long", delay, []float64{4}, []float64{8}, "missed: 2× etcd, 4"},
		// The medians alone would give 2.
		{"ratios within a round", throughput, []float64{200, 400, 200}, []float64{200, 100, 50}, "met"},
		{"ratios within a round, missed", throughput, []float64{100, 200, 400}, []float64{100, 200, 100}, "missed: 1× etcd"},
		{"nobody to compare with", rate("x", than(etcd, 2)), []float64{300}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newResults()
			for round, value := range test.ours {
				r.add(round, "x", ours, value, "")
			}
			for round, value := range test.etcd {
				r.add(round, "x", etcd, value, "")
			}
			if got := verdict(r.missed(test.row)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
