package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

const (
	listObjects = 10000
	pageObjects = 500
	leastLists  = 3
)

// listPods reads all pods in pages, or at once for a page of 0, and returns their number.
func listPods(ctx context.Context, s storage.Interface, page int64) (n int, err error) {
	opts := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
	opts.Predicate.Limit = page
	for {
		out := &example.PodList{}
		if err := s.GetList(ctx, "/pods", opts, out); err != nil {
			return 0, err
		}
		n += len(out.Items)
		if out.Continue == "" {
			return n, nil
		}
		opts.Predicate.Continue = out.Continue
	}
}

// list reads all objects from the storage: once as a process that has just started, which
// has nothing in memory, and then again and again at once and in pages.
func list(ctx context.Context, t *turn) error {
	s, err := t.pods(ctx)
	if err != nil {
		return err
	}
	if _, err := fill(ctx, s, listObjects); err != nil {
		return err
	}
	started := time.Now()
	if _, err := listPods(ctx, s, 0); err != nil {
		return err
	}
	t.record("first list of 10,000", milliseconds(time.Since(started)), "")
	for _, form := range []struct {
		row  string
		page int64
	}{{"list of 10,000", 0}, {"list of 10,000 in pages of 500", pageObjects}} {
		var latencies []time.Duration
		// However slow it is, a few are measured.
		for end := time.Now().Add(t.duration); len(latencies) < leastLists || time.Now().Before(end); {
			started := time.Now()
			n, err := listPods(ctx, s, form.page)
			if err != nil {
				return err
			}
			if n != listObjects {
				return fmt.Errorf("listed %d objects, want %d", n, listObjects)
			}
			latencies = append(latencies, time.Since(started))
		}
		t.record(form.row, milliseconds(percentile(sorted(latencies), 0.5)), "")
	}
	return nil
}

// consistentList lists through the watch cache right after a write that the cache is not
// told about, as it is another resource's: the cache must find out that it is up to date.
func consistentList(ctx context.Context, t *turn) error {
	r, err := t.open(ctx)
	if err != nil {
		return err
	}
	pods, err := r.resource(ctx, "pods", r.cached)
	if err != nil {
		return err
	}
	others, err := r.resource(ctx, "others", r.raw)
	if err != nil {
		return err
	}
	const objects = 10
	if _, err := fill(ctx, pods, objects); err != nil {
		return err
	}
	var latencies []time.Duration
	for end := time.Now().Add(2 * t.duration); time.Now().Before(end); {
		_, pod := freshPod()
		if err := others.Create(ctx, "/others/bench/"+pod.Name, pod, nil, 0); err != nil {
			return err
		}
		started := time.Now()
		n, err := listPods(ctx, pods, 0)
		if err != nil {
			return err
		}
		if n != objects {
			return fmt.Errorf("listed %d objects, want %d", n, objects)
		}
		latencies = append(latencies, time.Since(started))
	}
	t.recordLatency("consistent list after another resource's write", sorted(latencies))
	return nil
}
