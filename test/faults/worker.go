package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"platform.dev/stores/pkg/storage/postgres"
)

// workerVariable tells this program to be a worker, with the database to open.
const workerVariable = "FAULTS_WORKER"

// RunWorker serves calls if this process was started as a worker, and does not return
// then. A worker is a replica in a process of its own, which can be killed.
func RunWorker() {
	dsn := os.Getenv(workerVariable)
	if dsn == "" {
		return
	}
	if err := serveCalls(quiet(context.Background()), dsn, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveCalls answers one JSON document with another, in any order.
func serveCalls(ctx context.Context, dsn string, in io.Reader, out io.Writer) error {
	config, _ := settings(0)
	config.ConnString = dsn
	db, err := postgres.Open(ctx, config)
	if err != nil {
		return err
	}
	s, err := podStorage(db)
	if err != nil {
		return err
	}
	var writing sync.Mutex
	answers := json.NewEncoder(out)
	requests := json.NewDecoder(in)
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			return nil // whoever started us has ended
		}
		go func() {
			res := perform(ctx, s, r)
			writing.Lock()
			defer writing.Unlock()
			_ = answers.Encode(res) // fails only if nobody listens
		}()
	}
}

// worker makes calls in another process, which is started again after it was killed.
type worker struct {
	proxy *proxy

	mu      sync.Mutex
	process *exec.Cmd // nil if there is none
	next    int64
	waiting map[int64]chan result
	send    *json.Encoder
}

func newWorker(socketDir string) (*worker, error) {
	p, err := newProxy(socketDir)
	if err != nil {
		return nil, err
	}
	return &worker{proxy: p}, nil
}

// start starts the process if there is none.
func (w *worker) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.process != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting worker: %w", err)
	}
	process := exec.Command(self)
	process.Env = append(os.Environ(), workerVariable+"="+w.proxy.dsn(nil))
	in, inErr := process.StdinPipe()
	out, outErr := process.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return fmt.Errorf("starting worker: %w", err)
	}
	if err := process.Start(); err != nil {
		return fmt.Errorf("starting worker: %w", err)
	}
	w.process, w.send, w.waiting = process, json.NewEncoder(in), map[int64]chan result{}
	go w.receive(process, out, w.waiting)
	return nil
}

// receive hands out answers until the process ends. What it has not answered by then
// stays unknown.
func (w *worker) receive(process *exec.Cmd, out io.Reader, waiting map[int64]chan result) {
	answers := json.NewDecoder(out)
	for {
		var res result
		if answers.Decode(&res) != nil {
			break
		}
		w.mu.Lock()
		answer := waiting[res.Number]
		delete(waiting, res.Number)
		w.mu.Unlock()
		answer <- res
	}
	_ = process.Wait() // it was killed
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = nil
	for number, answer := range waiting {
		answer <- result{Number: number, Outcome: unknown, Err: "the worker ended"}
	}
}

func (w *worker) perform(_ context.Context, r request) result {
	answer := make(chan result, 1)
	w.mu.Lock()
	if w.process == nil {
		w.mu.Unlock()
		return result{Outcome: failed, Err: "no worker"}
	}
	w.next++
	r.Number = w.next
	w.waiting[r.Number] = answer
	// If it does not arrive, the process has ended and the answer is: unknown.
	_ = w.send.Encode(r)
	w.mu.Unlock()
	return <-answer
}

// signal sends a signal to the process, if there is one.
func (w *worker) signal(s syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.process != nil {
		_ = w.process.Process.Signal(s)
	}
}

func (w *worker) close() {
	w.signal(syscall.SIGKILL)
	w.proxy.close()
}
