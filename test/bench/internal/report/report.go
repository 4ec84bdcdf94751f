// Package report is what the benchmarks share: how they start, what programs have used of
// the machine, and how figures are printed and told where they come from.
package report

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Save writes figures to a file, below a title and where they come from: the command, the
// day, the commit, with a mark if the source was changed since, the machine, and what
// else counts.
func Save(ctx context.Context, file, title, command, figures string, more ...string) error {
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return fmt.Errorf("asking git for the commit: %w", err)
	}
	machine := fmt.Sprintf("%s with %d processors, %s of memory", field("/proc/cpuinfo", "model name"), runtime.NumCPU(), field("/proc/meminfo", "MemTotal"))
	return os.WriteFile(file, fmt.Appendf(nil, "# %s\n\n`%s` on %s, commit %s: %s.\n\n%s", title, strings.TrimSpace(command),
		time.Now().UTC().Format(time.DateOnly), bytes.TrimSpace(commit), strings.Join(append([]string{machine}, more...), "; "), figures), 0o644)
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

// Number prints three digits, or all before the point.
func Number(x float64) string {
	switch size := math.Abs(x); {
	case size >= 1000:
		return Thousands(int64(math.Round(x)))
	case size >= 100 || x == math.Trunc(x):
		return fmt.Sprintf("%.0f", x)
	case size >= 10:
		return fmt.Sprintf("%.1f", x)
	case size >= 0.1:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", x), "0")
	}
	return fmt.Sprintf("%.3f", x)
}

// Thousands prints a number that is not negative, its thousands apart.
func Thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Thousands(n/1000), n%1000)
}
