package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// report is what all checks of all servers came to.
type report struct {
	mu       sync.Mutex
	outcomes map[string]map[int]outcome // by server and row
}

func (r *report) add(server string, row int, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcomes == nil {
		r.outcomes = map[string]map[int]outcome{}
	}
	if r.outcomes[server] == nil {
		r.outcomes[server] = map[int]outcome{}
	}
	r.outcomes[server][row] = o
}

// ran tells of each row's test whether a server has an outcome of it.
func (r *report) ran(server string) map[string]bool {
	ran := map[string]bool{}
	for _, row := range rows {
		_, ran[row.test()] = r.outcomes[server][row.number]
	}
	return ran
}

// passed counts the rows that a server passes.
func (r *report) passed(server string) int {
	n := 0
	for _, o := range r.outcomes[server] {
		if o.result == passed {
			n++
		}
	}
	return n
}

// lacking are the rows that one server passes and the other one does not.
func (r *report) lacking(server, other string) []int {
	var numbers []int
	for number, o := range r.outcomes[other] {
		if o.result == passed && r.outcomes[server][number].result != passed {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// print writes the table, and why rows have not passed.
func (r *report) print(w io.Writer, servers ...string) {
	fmt.Fprintf(w, "| row | convention | %s |\n|---|---|%s\n", strings.Join(servers, " | "), strings.Repeat("---|", len(servers)))
	for _, row := range rows {
		cells := []string{fmt.Sprint(row.number), row.convention}
		for _, server := range servers {
			cells = append(cells, string(r.outcomes[server][row.number].result))
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, server := range servers {
		fmt.Fprintf(w, "\n%s: %d/%d\n", server, r.passed(server), len(rows))
		for _, row := range rows {
			if o := r.outcomes[server][row.number]; o.reason != "" {
				fmt.Fprintf(w, "  %s: %s: %.1000s\n", row.test(), o.result, strings.ReplaceAll(o.reason, "\n", "\n    "))
			}
		}
	}
}
