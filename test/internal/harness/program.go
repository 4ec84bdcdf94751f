package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const startTimeout = time.Minute

// program is a running process whose output goes to a file.
type program struct {
	name   string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// startProgram starts a process that ends with this one at the latest.
func startProgram(name, log, path string, args ...string) (*program, error) {
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p := &program{name: name, log: log, cmd: exec.Command(path, args...), exited: make(chan struct{})}
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

// waitFor returns when check succeeds, and fails when the program ends before.
func (p *program) waitFor(ctx context.Context, check func(context.Context) error) error {
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

// stop asks the program to end and waits until it has, by force after grace.
func (p *program) stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-p.exited:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// tail returns the end of the program's output.
func (p *program) tail() []byte {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-30):], nil)
}
