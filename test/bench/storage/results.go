package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"platform.dev/stores/test/bench/internal/report"
)

// contenders in the order of the columns.
var contenders = []string{ours, etcd, kine, ceiling}

// figure is one measurement.
type figure struct {
	value  float64
	detail string // shown with it
}

// results holds the figures of all rounds.
type results struct {
	rounds  int                                  // begun
	figures map[string]map[string]map[int]figure // by row, contender and round
	foreign []float64
}

func newResults() *results {
	return &results{figures: map[string]map[string]map[int]figure{}}
}

func (r *results) add(round int, row, contender string, value float64, detail string) {
	if r.figures[row] == nil {
		r.figures[row] = map[string]map[int]figure{}
	}
	if r.figures[row][contender] == nil {
		r.figures[row][contender] = map[int]figure{}
	}
	r.figures[row][contender][round] = figure{value, detail}
}

// addForeign notes which share of the machine other programs used meanwhile.
func (r *results) addForeign(share float64) { r.foreign = append(r.foreign, share) }

// middle returns the figure whose value is the median of the rounds, the worse of two in
// the middle.
func (r *results) middle(row row, contender string) (figure, bool) {
	var all []figure
	for _, f := range r.figures[row.name][contender] {
		all = append(all, f)
	}
	if len(all) == 0 {
		return figure{}, false
	}
	slices.SortFunc(all, func(a, b figure) int { return compare(row.less, a.value, b.value) })
	return all[(len(all)-1)/2], true
}

// better returns the median of how many times better ours was than another contender in
// the same round.
func (r *results) better(row row, than string) (float64, bool) {
	var ratios []float64
	for round, other := range r.figures[row.name][than] {
		own, ok := r.figures[row.name][ours][round]
		if !ok || own.value == 0 || other.value == 0 {
			continue // nothing was lost, for example
		}
		if row.less {
			ratios = append(ratios, other.value/own.value)
		} else {
			ratios = append(ratios, own.value/other.value)
		}
	}
	if len(ratios) == 0 {
		return 0, false
	}
	slices.Sort(ratios)
	return ratios[(len(ratios)-1)/2], true
}

// compare puts the worse value first.
func compare(less bool, a, b float64) int {
	if less {
		a, b = b, a
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// missed returns the targets of a row that were not reached, with what was.
func (r *results) missed(row row) (missed []string, judged int) {
	for _, t := range row.targets {
		if t.than == "" {
			own, ok := r.middle(row, ours)
			if !ok {
				continue
			}
			judged++
			if compare(row.less, own.value, t.by) < 0 {
				missed = append(missed, report.Number(own.value))
			}
			continue
		}
		ratio, ok := r.better(row, t.than)
		if !ok {
			continue
		}
		judged++
		if ratio < t.by {
			missed = append(missed, fmt.Sprintf("%s× %s", report.Number(ratio), t.than))
		}
	}
	return missed, judged
}

// write prints the results as a table in Markdown.
func (r *results) write(w io.Writer, rows []row) error {
	var b strings.Builder
	b.WriteString("| | ours | etcd | kine | pgbench | ours to etcd | to kine | to pgbench | target | |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|---|---|\n")
	met, targets, written := 0, 0, 0
	for _, row := range rows {
		if r.figures[row.name] == nil {
			continue
		}
		written++
		missed, judged := r.missed(row)
		targets += judged
		met += judged - len(missed)
		fmt.Fprintln(&b, "| "+strings.Join(append(r.cells(row), describe(row), verdict(missed, judged)), " | ")+" |")
	}
	if written != len(r.figures) {
		return fmt.Errorf("%d of %d figures have a row", written, len(r.figures))
	}
	fmt.Fprintf(&b, "\n%d of %d targets met. Medians of %d rounds; behind rates (p50, p99 in ms; µs of CPU of all processes).",
		met, targets, r.rounds)
	if len(r.foreign) > 0 {
		slices.Sort(r.foreign)
		fmt.Fprintf(&b, " Other programs used %.0f%% of the machine (median; at most %.0f%%).",
			100*r.foreign[len(r.foreign)/2], 100*r.foreign[len(r.foreign)-1])
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// cells returns the row's name, the figures of the contenders and the ratios.
func (r *results) cells(row row) []string {
	name := row.name
	if row.unit != "" {
		name += ", " + row.unit
	}
	cells := []string{name}
	for _, contender := range contenders {
		cell := ""
		if f, ok := r.middle(row, contender); ok {
			cell = report.Number(f.value)
			if f.detail != "" {
				cell += " (" + f.detail + ")"
			}
		}
		cells = append(cells, cell)
	}
	for _, contender := range contenders[1:] {
		cell := ""
		if ratio, ok := r.better(row, contender); ok {
			cell = report.Number(ratio) + "×"
		}
		cells = append(cells, cell)
	}
	return cells
}

// describe says what the targets of a row are.
func describe(row row) string {
	var all []string
	for _, t := range row.targets {
		switch {
		case t.than != "":
			all = append(all, fmt.Sprintf("≥ %s× %s", report.Number(t.by), t.than))
		case row.less:
			all = append(all, "≤ "+report.Number(t.by))
		default:
			all = append(all, "≥ "+report.Number(t.by))
		}
	}
	return strings.Join(all, ", ")
}

func verdict(missed []string, judged int) string {
	switch {
	case judged == 0:
		return ""
	case len(missed) == 0:
		return "met"
	}
	return "missed: " + strings.Join(missed, ", ")
}
