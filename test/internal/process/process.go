// Package process runs other programs for tests and benchmarks.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const startTimeout = time.Minute

// Process is a running program whose output goes to a file.
type Process struct {
	name   string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs the program at path until it ends or this process does. Its output goes to
// the file log.
func Start(name, log, path string, args ...string) (*Process, error) {
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p := &Process{name: name, log: log, cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// A process that ends with its parent ends with the thread that started it.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is asked of the process state
		}
		_ = output.Close()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// WaitFor returns when check succeeds, and fails when the program ends before.
func (p *Process) WaitFor(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, startTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.exited:
			return false, errors.New("it exited")
		default:
			last = check(ctx)
			return last == nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w: %w\n%s", p.name, err, last, p.tail())
	}
	return nil
}

// Stop asks the program to end and waits until it has, by force after grace.
func (p *Process) Stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-p.exited:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// tail returns the end of the program's output.
func (p *Process) tail() []byte {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-30):], nil)
}

// Signal sends a signal; it does nothing if the program has ended.
func (p *Process) Signal(signal os.Signal) { _ = p.cmd.Process.Signal(signal) }

// Name is what the program was called when it was started.
func (p *Process) Name() string { return p.name }

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode is the program's after it has ended.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Log returns what the program has printed.
func (p *Process) Log() ([]byte, error) { return os.ReadFile(p.log) }

// FreePort returns a port of the loopback address that nobody listens on.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
