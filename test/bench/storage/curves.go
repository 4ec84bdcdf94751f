package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"platform.dev/stores/test/bench/internal/report"
)

// operationsOf returns the operations and the sizes of costs in their order.
func operationsOf(costs []costAt) (operations []string, at []size) {
	for _, c := range costs {
		if !slices.Contains(operations, c.operation) {
			operations = append(operations, c.operation)
		}
		if !slices.Contains(at, c.size) {
			at = append(at, c.size)
		}
	}
	return operations, at
}

func find(costs []costAt, operation string, at size) costAt {
	return costs[slices.IndexFunc(costs, func(c costAt) bool { return c.operation == operation && c.size == at })]
}

// writeCosts prints a table in Markdown, with how much the cost grew from the smallest
// to the largest size.
func writeCosts(w io.Writer, costs []costAt) error {
	operations, at := operationsOf(costs)
	var b strings.Builder
	b.WriteString("| objects; revisions |")
	for _, size := range at {
		fmt.Fprintf(&b, " %s; %s |", report.Thousands(size.objects), report.Thousands(size.revisions))
	}
	b.WriteString(" CPU grew |\n|---|" + strings.Repeat("--:|", len(at)+1) + "\n")
	for _, operation := range operations {
		fmt.Fprintf(&b, "| %s |", operation)
		for _, size := range at {
			c := find(costs, operation, size)
			fmt.Fprintf(&b, " %s (%s) |", report.Number(c.cpu), report.Number(milliseconds(c.p50)))
		}
		fmt.Fprintf(&b, " %s× |\n", report.Number(find(costs, operation, at[len(at)-1]).cpu/find(costs, operation, at[0]).cpu))
	}
	b.WriteString("\nµs of CPU of all processes for one operation of one client (p50 in ms).\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// The picture, in pixels.
const (
	pictureWidth, pictureHeight = 760, 420
	plotLeft, plotRight         = 70, 590
	plotTop, plotBottom         = 30, 350
	labelGap                    = 15 // between lines of text
)

var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// axis maps values to pixels, by their logarithms.
type axis struct {
	from, to       float64 // powers of ten
	pixel0, pixel1 float64
}

func newAxis(values []float64, pixel0, pixel1 float64) axis {
	from := math.Floor(math.Log10(slices.Min(values)))
	to := max(math.Ceil(math.Log10(slices.Max(values))), from+1)
	return axis{from, to, pixel0, pixel1}
}

func (a axis) at(value float64) float64 {
	return a.pixel0 + (math.Log10(value)-a.from)/(a.to-a.from)*(a.pixel1-a.pixel0)
}

// spread returns where to write the names of curves: at their ends, but not over one
// another.
func spread(y axis, names []string, end func(name string) float64) map[string]float64 {
	places := map[string]float64{}
	previous := math.Inf(1)
	for _, name := range slices.SortedFunc(slices.Values(names), func(a, b string) int { return cmp.Compare(end(a), end(b)) }) {
		previous = min(y.at(end(name)), previous-labelGap)
		places[name] = previous
	}
	return places
}

// drawCosts draws a curve of CPU over revisions for every operation, as SVG. Both axes
// are logarithmic: what does not care about the size is level.
func drawCosts(w io.Writer, costs []costAt) error {
	operations, at := operationsOf(costs)
	var revisions, cpu []float64
	for _, c := range costs {
		revisions, cpu = append(revisions, float64(c.revisions)), append(cpu, c.cpu)
	}
	x, y := newAxis(revisions, plotLeft, plotRight), newAxis(cpu, plotBottom, plotTop)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, pictureHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", pictureWidth, pictureHeight)
	for power := x.from; power <= x.to; power++ {
		value := math.Pow10(int(power))
		fmt.Fprintf(&b, `<path d="M%.0f %d V%d" stroke="#ddd"/><text x="%.0f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x.at(value), plotTop, plotBottom, x.at(value), plotBottom+labelGap, report.Number(value))
	}
	for power := y.from; power <= y.to; power++ {
		value := math.Pow10(int(power))
		fmt.Fprintf(&b, `<path d="M%d %.0f H%d" stroke="#ddd"/><text x="%d" y="%.0f" text-anchor="end" dominant-baseline="middle">%s</text>`+"\n",
			plotLeft, y.at(value), plotRight, plotLeft-labelGap/2, y.at(value), report.Number(value))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">revisions in the log</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+3*labelGap)
	fmt.Fprintf(&b, `<text x="%d" y="%d">µs of CPU of one operation</text>`+"\n", plotLeft, plotTop-labelGap)
	labels := spread(y, operations, func(operation string) float64 { return find(costs, operation, at[len(at)-1]).cpu })
	for i, operation := range operations {
		var line []string
		for _, size := range at {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x.at(float64(size.revisions)), y.at(find(costs, operation, size).cpu)))
		}
		colour := colours[i%len(colours)]
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s" dominant-baseline="middle">%s</text>`+"\n", plotRight+labelGap/2, labels[operation], colour, operation)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
