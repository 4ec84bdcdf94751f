// Package process keeps long-running programs that outlive the command which
// started them. A record file tells the process of a program from any other that
// may get the same number later.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Program is what to start.
type Program struct {
	// Name of the record and the log file.
	Name string
	// Path of the binary and its arguments.
	Path string
	Args []string
}

// Keeper starts and stops programs.
type Keeper struct {
	// Records and Logs are the folders of the record and log files.
	Records, Logs string
	// Environment of every program, as KEY=VALUE.
	Environment []string
	// Started is called with the number of each new process.
	Started func(pid int) error
}

// record identifies a process for as long as the machine runs.
type record struct {
	PID    int    `json:"pid"`
	Ticks  string `json:"startTicks"`
	BootID string `json:"bootID"`
}

// Start runs the program in a session of its own, with its output in the log
// file. It does nothing when the program runs already.
func (k Keeper) Start(program Program) error {
	if _, alive := k.Alive(program.Name); alive {
		return nil
	}
	log, err := os.OpenFile(k.LogFile(program.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program.Path, program.Args...)
	command.Stdout, command.Stderr = log, log
	command.Dir, command.Env = "/", k.Environment
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", program.Name, err)
	}
	go func() { _ = command.Wait() }() // Collects the child; how it ended is in its log.
	if err := k.write(program.Name, command.Process.Pid); err != nil {
		_ = command.Process.Kill()
		return fmt.Errorf("recording %s: %w", program.Name, err)
	}
	if k.Started == nil {
		return nil
	}
	return k.Started(command.Process.Pid)
}

// Alive returns the process of a program when it still runs.
func (k Keeper) Alive(name string) (pid int, alive bool) {
	content, err := os.ReadFile(k.recordFile(name))
	if err != nil {
		return 0, false
	}
	var want record
	if json.Unmarshal(content, &want) != nil {
		return 0, false
	}
	have, err := identify(want.PID)
	return want.PID, err == nil && have == want
}

// Stop asks the named programs to end, kills those that have not after grace,
// and forgets all of them. Programs that do not run are no error.
func (k Keeper) Stop(grace time.Duration, names ...string) error {
	var errs []error
	k.signal(syscall.SIGTERM, names)
	if !k.waitGone(grace, names) {
		k.signal(syscall.SIGKILL, names)
		if !k.waitGone(5*time.Second, names) {
			errs = append(errs, errors.New("a killed process is still there"))
		}
	}
	for _, name := range names {
		if _, alive := k.Alive(name); alive {
			continue
		}
		if err := os.Remove(k.recordFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// LogFile is where a program's output goes.
func (k Keeper) LogFile(name string) string {
	return filepath.Join(k.Logs, name+".log")
}

func (k Keeper) recordFile(name string) string {
	return filepath.Join(k.Records, name+".json")
}

func (k Keeper) signal(signal syscall.Signal, names []string) {
	for _, name := range names {
		if pid, alive := k.Alive(name); alive {
			_ = syscall.Kill(pid, signal) // It may end by itself at any moment.
		}
	}
}

func (k Keeper) waitGone(timeout time.Duration, names []string) bool {
	deadline := time.Now().Add(timeout)
	for {
		running := false
		for _, name := range names {
			_, alive := k.Alive(name)
			running = running || alive
		}
		if !running {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (k Keeper) write(name string, pid int) error {
	identity, err := identify(pid)
	if err != nil {
		return err
	}
	content, err := json.Marshal(identity)
	if err != nil {
		return err
	}
	return os.WriteFile(k.recordFile(name), content, 0o600)
}

// identify reads who a running process is. A zombie counts as gone.
func identify(pid int) (record, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return record{}, err
	}
	// The program's name, in parentheses, may itself hold blanks and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, startTicks = 0, 19
	if len(fields) <= startTicks || fields[state] == "Z" || fields[state] == "X" {
		return record{}, fs.ErrNotExist
	}
	bootID, err := BootID()
	return record{PID: pid, Ticks: fields[startTicks], BootID: bootID}, err
}

// BootID changes each time the machine starts.
func BootID() (string, error) {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(content)), err
}
