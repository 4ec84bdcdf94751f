package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// replica is a process that provisions.
type replica struct {
	name    string
	process *exec.Cmd
	exited  chan struct{}
	stopped chan struct{} // closed when it has stopped as ordered
	worked  chan struct{} // closed when it has asked for something in Helm

	mu   sync.Mutex
	last string // the point that it passed last
}

// barracks start replicas.
type barracks struct {
	instructions instructions // of all
	logs         string       // the folder of their logs
	passed       func(point string)
	count        atomic.Int64
}

// start starts a replica in the slot, whose log the slots' replicas share.
func (b *barracks) start(slot string, o order) (*replica, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	is := b.instructions
	is.Name, is.Order = fmt.Sprintf("%s-%d", slot, b.count.Add(1)), o
	text, err := json.Marshal(is)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(b.logs, "provisioner-"+slot+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(log, "=== %s at %s, order %+v\n", is.Name, time.Now().Format(time.RFC3339Nano), o)
	r := &replica{name: is.Name, process: exec.Command(self), exited: make(chan struct{}), stopped: make(chan struct{}), worked: make(chan struct{})}
	r.process.Env = append(os.Environ(), provisionerVariable+"="+string(text))
	r.process.Stderr = log
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := r.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// A process that ends with its parent ends with the thread that started it.
		runtime.LockOSThread()
		defer func() { _ = log.Close() }()
		err := r.process.Start()
		started <- err
		if err != nil {
			return
		}
		r.follow(out, b.passed)
		_ = r.process.Wait() // how it ended is asked of the process state
		close(r.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting replica %s: %w", r.name, err)
	}
	return r, nil
}

// keeper is a slot in which a replica is started again when it has ended by itself,
// as a cluster does: on a busy machine leases get lost.
type keeper struct {
	stop, ended chan struct{}
}

// keep has a replica in the slot until the keeper is told to end.
func (b *barracks) keep(slot string) (*keeper, error) {
	r, err := b.start(slot, order{Lease: keptLease})
	if err != nil {
		return nil, err
	}
	k := &keeper{stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		for err == nil {
			select {
			case <-k.stop:
				r.terminate()
				return
			case <-r.exited:
				r, err = b.start(slot, order{Lease: keptLease})
			}
		}
	}()
	return k, nil
}

// end ends the slot's replica as a rollout does.
func (k *keeper) end() {
	close(k.stop)
	<-k.ended
}

// follow takes note of the points that the replica passes, until it has ended.
func (r *replica) follow(out io.Reader, passed func(string)) {
	worked := sync.OnceFunc(func() { close(r.worked) })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if inside(lines.Text()) {
			worked()
		}
		if lines.Text() == stopped {
			close(r.stopped)
			continue
		}
		r.mu.Lock()
		r.last = lines.Text()
		r.mu.Unlock()
		passed(lines.Text())
	}
}

func (r *replica) signal(s syscall.Signal) { _ = r.process.Process.Signal(s) } // fails if it has ended

// kill ends the replica at once.
func (r *replica) kill() {
	r.signal(syscall.SIGKILL)
	<-r.exited
}

// terminate ends the replica as a rollout does.
func (r *replica) terminate() {
	r.signal(syscall.SIGTERM)
	<-r.exited
}

// wasKilled is true if the replica, which has ended, was killed.
func (r *replica) wasKilled() bool {
	status, ok := r.process.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// diedAt is the point that the replica passed last.
func (r *replica) diedAt() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// inside is true for points of Helm's requests.
func inside(point string) bool { return strings.Contains(point, " helm ") }
