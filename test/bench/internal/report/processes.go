package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ClockTick is the unit of the times in /proc: every Linux has 100 a second.
const ClockTick = 10 * time.Millisecond

// stat is a line of /proc/PID/stat.
type stat struct {
	parent          int
	own, ofChildren time.Duration // of children that have ended
}

func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name comes before, in brackets, and may hold anything.
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	ticks := func(field int) time.Duration {
		n, _ := strconv.Atoi(fields[field])
		return time.Duration(n) * ClockTick
	}
	ppid, err := strconv.Atoi(fields[1])
	return stat{parent: ppid, own: ticks(11) + ticks(12), ofChildren: ticks(13) + ticks(14)}, err
}

// Parent returns the process that a process was started by.
func Parent(pid int) (int, error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, fmt.Errorf("finding the parent of process %d: %w", pid, err)
	}
	return s.parent, nil
}

// ProcessorTime sums what processes and their children have used, also those children
// that have ended.
func ProcessorTime(roots ...int) (total time.Duration, err error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		pid, _ := strconv.Atoi(filepath.Base(folder))
		s, err := readStat(pid)
		if err != nil {
			continue // it has just ended
		}
		if slices.Contains(roots, pid) {
			total += s.own + s.ofChildren
		} else if slices.Contains(roots, s.parent) {
			total += s.own
		}
	}
	return total, nil
}

// Memory returns what a process has in memory and the most that it ever had, in bytes.
func Memory(pid int) (now, peak int64, err error) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	for name, value := range map[string]*int64{"VmRSS": &now, "VmHWM": &peak} {
		if _, err := fmt.Sscanf(field(status, name), "%d kB", value); err != nil {
			return 0, 0, fmt.Errorf("reading %s of process %d: %w", name, pid, err)
		}
		*value <<= 10
	}
	// The kernel may note the peak a little late.
	return now, max(now, peak), nil
}
