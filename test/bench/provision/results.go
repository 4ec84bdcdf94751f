package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"platform.dev/stores/test/bench/internal/report"
)

// published are the figures of Flux's benchmark of its helm-controller, with ten
// workers and the same limits.
var published = map[int]struct {
	took   time.Duration
	memory float64 // MiB
}{
	100:  {28 * time.Second, 190},
	500:  {2*time.Minute + 44*time.Second, 240},
	1000: {8*time.Minute + time.Second, 400},
}

// row is a figure of every size.
type row struct {
	name   string
	value  func(*figures) float64
	target func(stores int) float64 // 0 for none
	least  bool                     // the target is the least, not the most
}

const mebibyte = 1 << 20

func (f *figures) rate() float64 { return float64(f.stores) / f.provisioning.took.Minutes() }

// each is the requests of a kind for one store.
func (f *figures) each(kind func(operation) bool) float64 {
	return float64(f.provisioning.requests.of(kind)) / float64(f.stores)
}

// name tells the figures from others.
func (f *figures) name() string {
	name := report.Thousands(int64(f.stores))
	if f.onNode {
		name += " on a node"
	}
	return name
}

// cpuEach is the milliseconds that a program has computed for one store.
func (f *figures) cpuEach(program string) float64 {
	return float64(f.provisioning.cpu[program].Milliseconds()) / float64(f.stores)
}

// bySize is a target for up to a thousand stores and one for more.
func bySize(small, large float64) func(int) float64 {
	return func(stores int) float64 {
		if stores <= 1000 {
			return small
		}
		return large
	}
}

func always(target float64) func(int) float64 { return bySize(target, target) }

func rows() []row {
	cpu := func(program string) func(*figures) float64 {
		return func(f *figures) float64 { return f.cpuEach(program) }
	}
	steady := func(kind func(operation) bool) func(*figures) float64 {
		return func(f *figures) float64 { return float64(f.steady.requests.of(kind)) / f.steady.took.Minutes() }
	}
	none := always(0.5) // less than one
	return []row{
		{"all ready, s", func(f *figures) float64 { return f.provisioning.took.Seconds() }, nil, false},
		{"half of them ready, s", func(f *figures) float64 { return f.half.Seconds() }, nil, false},
		{"stores per minute", (*figures).rate, bySize(600, 500), true},
		{"provisioner: peak memory, MiB", func(f *figures) float64 { return float64(f.peak) / mebibyte }, bySize(200, 512), false},
		{"provisioner: memory at the end, MiB", func(f *figures) float64 { return f.settled.memory / mebibyte }, nil, false},
		{"provisioner: Go heap at the end, MiB", func(f *figures) float64 { return f.settled.heap / mebibyte }, nil, false},
		{"provisioner: stacks, MiB", func(f *figures) float64 { return f.settled.stacks / mebibyte }, nil, false},
		{"provisioner: goroutines", func(f *figures) float64 { return f.settled.goroutines }, nil, false},
		{"kube-apiserver: memory at the end, MiB", func(f *figures) float64 { return f.settled.clusterMemory / mebibyte }, nil, false},
		{"requests per store", func(f *figures) float64 { return f.each(isRead) + f.each(isWrite) }, always(25), false},
		{"of them writes", func(f *figures) float64 { return f.each(isWrite) }, nil, false},
		{"watches begun per store", func(f *figures) float64 { return f.each(isWatch) }, nil, false},
		{"requests of everybody per store", func(f *figures) float64 { return f.provisioning.total / float64(f.stores) }, nil, false},
		{"CPU per store: provisioner, ms", cpu(controller), nil, false},
		{"CPU per store: kube-apiserver, ms", cpu("kube-apiserver"), nil, false},
		{"CPU per store: etcd, ms", cpu("etcd"), nil, false},
		{"CPU per store: kube-controller-manager, ms", cpu("kube-controller-manager"), nil, false},
		{"CPU per store: our API server, ms", cpu("apiserver"), nil, false},
		{"CPU per store: PostgreSQL, ms", cpu("PostgreSQL"), nil, false},
		{"steady minute: writes", steady(isWrite), none, false},
		{"steady minute: reads", steady(isRead), none, false},
		{"steady minute: watches begun anew", steady(isWatch), nil, false},
		{"steady minute: for leases", steady(isLease), nil, false},
		{"steady minute: CPU of the provisioner, s", func(f *figures) float64 {
			return f.steady.cpu[controller].Seconds() / f.steady.took.Minutes()
		}, nil, false},
	}
}

// writeResults prints the figures in Markdown.
func writeResults(w io.Writer, all []*figures) {
	head := []string{"stores"}
	for _, f := range all {
		head = append(head, f.name())
	}
	writeRow(w, append(head, "target, up to 1,000", "beyond")...)
	writeRow(w, append([]string{"---"}, slices.Repeat([]string{"--:"}, len(all)+2)...)...)
	for _, row := range rows() {
		cells := []string{row.name}
		for _, f := range all {
			cells = append(cells, row.cell(f))
		}
		writeRow(w, append(cells, row.bound(1), row.bound(1001))...)
	}
	writeComparison(w, all)
	writeRequests(w, all)
}

func writeRow(w io.Writer, cells ...string) { fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |") }

// cell is the row's figure, with a mark if it misses its target.
func (r row) cell(f *figures) string {
	value := r.value(f)
	cell := report.Number(value)
	if r.target == nil {
		return cell
	}
	if target := r.target(f.stores); (r.least && value < target) || (!r.least && value > target) {
		return cell + " (missed)"
	}
	return cell
}

// bound is the row's target for so many stores.
func (r row) bound(stores int) string {
	switch {
	case r.target == nil:
		return ""
	case r.least:
		return "≥ " + report.Number(r.target(stores))
	case r.target(stores) < 1:
		return "0"
	}
	return "≤ " + report.Number(r.target(stores))
}

// writeComparison puts Flux's helm-controller beside ours: as it was measured, and as
// Flux has published.
func writeComparison(w io.Writer, all []*figures) {
	fmt.Fprintln(w, "\nBeside Flux's helm-controller, of this run and, in brackets, as Flux has published of another machine:")
	fmt.Fprintln(w)
	writeRow(w, "", "ours", "Flux", "ratio")
	writeRow(w, "---", "--:", "--:", "--:")
	for _, f := range all {
		if f.onNode {
			continue
		}
		size := f.name() + ": "
		theirs, known := published[f.stores]
		compare := func(what string, value func(*figures) float64, published float64) {
			ours, over, flux := value(f), published, ""
			if f.flux != nil {
				over = value(f.flux)
				flux = report.Number(over)
			}
			if published > 0 {
				flux = strings.TrimSpace(flux + " (" + report.Number(published) + ")")
			}
			if over > 0 {
				writeRow(w, size+what, report.Number(ours), flux, report.Number(ours/over)+"×")
			}
		}
		rate := 0.0
		if known {
			rate = float64(f.stores) / theirs.took.Minutes()
		}
		compare("releases per minute", (*figures).rate, rate)
		compare("peak memory, MiB", func(f *figures) float64 { return float64(f.peak) / mebibyte }, theirs.memory)
		compare("requests per release", func(f *figures) float64 { return f.each(isRead) + f.each(isWrite) }, 0)
		compare("CPU of the controller per release, ms", func(f *figures) float64 { return f.cpuEach(controller) }, 0)
		compare("CPU of the kube-apiserver per release, ms", func(f *figures) float64 { return f.cpuEach("kube-apiserver") }, 0)
	}
}

// writeRequests prints what the provisioner asks for, for each store.
func writeRequests(w io.Writer, all []*figures) {
	fmt.Fprintln(w, "\nRequests of the provisioner for each store until all are ready, and all together in the steady time:")
	fmt.Fprintln(w)
	head, line, seen := []string{""}, []string{"---"}, map[operation]bool{}
	for _, f := range all {
		head, line = append(head, f.name(), "steady"), append(line, "--:", "--:")
		for o := range f.provisioning.requests {
			seen[o] = true
		}
		for o := range f.steady.requests {
			seen[o] = true
		}
	}
	writeRow(w, head...)
	writeRow(w, line...)
	byResource := func(a, b operation) int {
		return cmp.Or(strings.Compare(a.resource, b.resource), strings.Compare(a.verb, b.verb))
	}
	for _, o := range slices.SortedFunc(maps.Keys(seen), byResource) {
		cells := []string{o.verb + " " + o.resource}
		for _, f := range all {
			cells = append(cells, report.Number(float64(f.provisioning.requests[o])/float64(f.stores)), fmt.Sprint(f.steady.requests[o]))
		}
		writeRow(w, cells...)
	}
}
