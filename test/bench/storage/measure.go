package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"platform.dev/stores/test/bench/internal/report"
)

// load describes who does what for how long.
type load struct {
	clients  int
	duration time.Duration // a fifth more is spent before, to warm up
	rate     float64       // operations per second of all clients together; 0 for as many as they can
}

// outcome of a load.
type outcome struct {
	took      time.Duration
	latencies []time.Duration // sorted
	cpu       time.Duration   // of all processes
	wal       int64           // bytes that PostgreSQL logged
	foreign   float64         // the share of the machine that other programs used
}

func (o *outcome) operations() int { return len(o.latencies) }

// rate is operations per second.
func (o *outcome) rate() float64 { return float64(o.operations()) / o.took.Seconds() }

// cpuEach is the microseconds of CPU of one operation.
func (o *outcome) cpuEach() float64 {
	return float64(o.cpu.Microseconds()) / float64(o.operations())
}

// run has clients repeat op, each with its own number from 0, until the time is up.
func (in *instance) run(ctx context.Context, l load, op func(ctx context.Context, client int) error) (*outcome, error) {
	begin := time.Now()
	warm := begin.Add(l.duration / 5)
	end := warm.Add(l.duration)
	byClient := make([][]time.Duration, l.clients)
	clients, running := errgroup.WithContext(ctx)
	for client := range l.clients {
		pace := newPace(l, client, begin)
		clients.Go(func() error {
			for {
				if !pace.wait(running, end) {
					return running.Err()
				}
				started := time.Now()
				if err := op(running, client); err != nil {
					return err
				}
				if started.After(warm) {
					byClient[client] = append(byClient[client], time.Since(started))
				}
			}
		})
	}
	sleepUntil(running, warm)
	before, err := in.usage(ctx)
	if err != nil {
		return nil, err
	}
	sleepUntil(running, end)
	after, usageErr := in.usage(ctx)
	if err := clients.Wait(); err != nil {
		return nil, err
	}
	if usageErr != nil {
		return nil, usageErr
	}
	o := after.since(before)
	o.latencies = slices.Concat(byClient...)
	if o.operations() == 0 {
		return in.once(ctx, op)
	}
	slices.Sort(o.latencies)
	return o, nil
}

// once measures a single operation: one that is slower than the time there was.
func (in *instance) once(ctx context.Context, op func(ctx context.Context, client int) error) (*outcome, error) {
	before, err := in.usage(ctx)
	if err != nil {
		return nil, err
	}
	if err := op(ctx, 0); err != nil {
		return nil, err
	}
	after, err := in.usage(ctx)
	if err != nil {
		return nil, err
	}
	o := after.since(before)
	o.latencies = []time.Duration{o.took}
	return o, nil
}

// pace spreads the operations of a client evenly over time.
type pace struct {
	next     time.Time
	interval time.Duration // 0 for no pause
}

func newPace(l load, client int, begin time.Time) *pace {
	if l.rate == 0 {
		return &pace{}
	}
	between := time.Duration(float64(time.Second) / l.rate)
	return &pace{next: begin.Add(time.Duration(client) * between), interval: time.Duration(l.clients) * between}
}

// wait returns when the next operation is due, false if that is after the end.
func (p *pace) wait(ctx context.Context, end time.Time) bool {
	if p.interval > 0 {
		sleepUntil(ctx, p.next)
		p.next = p.next.Add(p.interval)
	}
	return ctx.Err() == nil && time.Now().Before(end)
}

func sleepUntil(ctx context.Context, t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// percentile returns the share p of sorted durations, 0 of none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// usage is what has been used up to a moment.
type usage struct {
	at            time.Time
	cpu           time.Duration // of this process and the instance's
	machine, busy time.Duration // of all processors
	wal           int64
}

func (in *instance) usage(ctx context.Context) (usage, error) {
	u := usage{at: time.Now()}
	var err error
	if u.wal, err = in.walPosition(ctx); err != nil {
		return u, fmt.Errorf("reading the position of the write-ahead log: %w", err)
	}
	if u.machine, u.busy, err = machineTime(); err != nil {
		return u, err
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return u, fmt.Errorf("reading our own times: %w", err)
	}
	u.cpu = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	trees, err := report.ProcessorTime(in.processes...)
	u.cpu += trees
	return u, err
}

func (u usage) since(before usage) *outcome {
	o := &outcome{took: u.at.Sub(before.at), cpu: u.cpu - before.cpu, wal: u.wal - before.wal}
	if machine := u.machine - before.machine; machine > 0 {
		o.foreign = max(0, float64(u.busy-before.busy-o.cpu)/float64(machine))
	}
	return o
}

// machineTime returns the time of all processors, and that in which they were busy.
func machineTime() (all, busy time.Duration, err error) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	for i, field := range strings.Fields(line)[1:9] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %q: %w", line, err)
		}
		d := time.Duration(n) * report.ClockTick
		all += d
		if i != 3 && i != 4 { // idle, waiting for disk
			busy += d
		}
	}
	return all, busy, nil
}
