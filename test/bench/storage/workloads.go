package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/test/bench/internal/report"
)

// workload is done by every contender in turn, on empty storage.
type workload struct {
	name string
	run  func(ctx context.Context, t *turn) error
}

// turn is one contender's at one workload.
type turn struct {
	*instance
	duration time.Duration // of one measurement
	clients  []int         // how many to measure with, in order
	results  *results
	round    int
}

func workloads() []workload {
	return []workload{
		{"create", create},
		{"update", update},
		{"conflict", conflict},
		{"get", get},
		{"list", list},
		{"consistent-list", consistentList},
		{"watch", watchLatency},
		{"fan-out", fanOut},
		{"replicas", replicas},
		{"cross-replica", crossReplica},
	}
}

// record notes a figure of this turn. The detail is shown with it.
func (t *turn) record(row string, value float64, detail string) {
	t.results.add(t.round, row, t.contender, value, detail)
}

// recordRate notes how many operations per second there were, how long the median and
// the slowest hundredth took in milliseconds, and the microseconds of CPU of each.
func (t *turn) recordRate(row string, o *outcome) {
	t.record(row, o.rate(), fmt.Sprintf("%s, %s; %.0f",
		report.Number(milliseconds(percentile(o.latencies, 0.5))), report.Number(milliseconds(percentile(o.latencies, 0.99))), o.cpuEach()))
	t.results.addForeign(o.foreign)
}

// recordLatency notes two rows, p50 and p99.
func (t *turn) recordLatency(row string, sorted []time.Duration) {
	t.record(row+", p50", milliseconds(percentile(sorted, 0.5)), "")
	t.record(row+", p99", milliseconds(percentile(sorted, 0.99)), "")
}

// measure has each number of clients repeat an operation and notes its rate. The
// outcomes are by number of clients.
func (t *turn) measure(ctx context.Context, row string, op func(ctx context.Context, client int) error) (map[int]*outcome, error) {
	outcomes := map[int]*outcome{}
	for _, clients := range t.clients {
		o, err := t.run(ctx, load{clients: clients, duration: t.duration}, op)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", withClients(row, clients), err)
		}
		t.recordRate(withClients(row, clients), o)
		outcomes[clients] = o
	}
	return outcomes, nil
}

// costClients is the number of clients at which costs are compared.
const costClients = 64

// recordCosts notes what one write cost, if that was measured.
func (t *turn) recordCosts(row string, outcomes map[int]*outcome) {
	o := outcomes[costClients]
	if o == nil {
		return
	}
	t.record("CPU of all processes, one "+row, o.cpuEach(), "")
	if t.database != "" {
		t.record("write-ahead log, one "+row, float64(o.wal)/float64(o.operations())/payload, "")
	}
}

func createPod(ctx context.Context, s storage.Interface) (*example.Pod, error) {
	key, pod := freshPod()
	out := &example.Pod{}
	return out, s.Create(ctx, key, pod, out, 0)
}

func create(ctx context.Context, t *turn) error {
	s, err := t.pods(ctx)
	if err != nil {
		return err
	}
	outcomes, err := t.measure(ctx, "create", func(ctx context.Context, _ int) error {
		_, err := createPod(ctx, s)
		return err
	})
	t.recordCosts("create", outcomes)
	return err
}

// fill creates pods and returns them.
func fill(ctx context.Context, s storage.Interface, n int) ([]*example.Pod, error) {
	const clients = 64
	pods := make([]*example.Pod, n)
	err := each(clients, func(client int) error {
		for i := client; i < n; i += clients {
			var err error
			if pods[i], err = createPod(ctx, s); err != nil {
				return fmt.Errorf("filling: %w", err)
			}
		}
		return nil
	})
	return pods, err
}

// step is the update that all make: it counts.
func step(obj runtime.Object) (runtime.Object, error) {
	pod := obj.(*example.Pod).DeepCopy()
	n, err := strconv.Atoi(pod.Annotations["counter"])
	pod.Annotations["counter"] = strconv.Itoa((n + 1) % 10) // keeps its size
	return pod, err
}

func updatePod(ctx context.Context, s storage.Interface, key string, suggestion runtime.Object) (*example.Pod, error) {
	out := &example.Pod{}
	return out, s.GuaranteedUpdate(ctx, key, out, false, nil, storage.SimpleUpdate(step), suggestion)
}

// update has every client change pods of its own: first such that the storage has to
// read, then with the object suggested, as the watch cache does.
func update(ctx context.Context, t *turn) error {
	s, err := t.pods(ctx)
	if err != nil {
		return err
	}
	pods, err := fill(ctx, s, t.clients[len(t.clients)-1])
	if err != nil {
		return err
	}
	if _, err := t.measure(ctx, "update", func(ctx context.Context, client int) (err error) {
		pods[client], err = updatePod(ctx, s, podKey(pods[client].Name), nil)
		return err
	}); err != nil {
		return err
	}
	outcomes, err := t.measure(ctx, "cached update", func(ctx context.Context, client int) (err error) {
		pods[client], err = updatePod(ctx, s, podKey(pods[client].Name), pods[client])
		return err
	})
	t.recordCosts("update", outcomes)
	return err
}

// conflict has many clients change few pods.
func conflict(ctx context.Context, t *turn) error {
	const clients, shared = 64, 8
	s, err := t.pods(ctx)
	if err != nil {
		return err
	}
	pods, err := fill(ctx, s, shared)
	if err != nil {
		return err
	}
	o, err := t.run(ctx, load{clients: clients, duration: t.duration}, func(ctx context.Context, client int) error {
		_, err := updatePod(ctx, s, podKey(pods[client%shared].Name), nil)
		return err
	})
	if err != nil {
		return err
	}
	t.recordRate("update of 8 shared objects, 64 clients", o)
	return nil
}

// get reads single objects at the latest revision: from the storage, and through the
// watch cache.
func get(ctx context.Context, t *turn) error {
	const objects = 1024
	raw, cached, err := t.podsTwice(ctx)
	if err != nil {
		return err
	}
	pods, err := fill(ctx, raw, objects)
	if err != nil {
		return err
	}
	for _, form := range []struct {
		row string
		s   storage.Interface
	}{{"get from storage", raw}, {"linearizable get behind the cache", cached}} {
		if _, err := t.measure(ctx, form.row, func(ctx context.Context, _ int) error {
			key := podKey(pods[rand.IntN(objects)].Name)
			return form.s.Get(ctx, key, storage.GetOptions{}, &example.Pod{})
		}); err != nil {
			return err
		}
	}
	return nil
}
