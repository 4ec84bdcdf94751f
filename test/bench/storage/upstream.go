package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// upstream runs the benchmarks that the API server library has for its storages, at the
// size of a thousand pods. Each consists of many cases; the figure is the sum of the
// times of one operation of every case.
func upstream(ctx context.Context, t *turn) error {
	for _, b := range []struct {
		row string
		run func(ctx context.Context, b *testing.B, s storage.Interface, data storagetesting.BenchmarkData)
	}{
		{"upstream BenchmarkStoreList, all cases", func(ctx context.Context, b *testing.B, s storage.Interface, data storagetesting.BenchmarkData) {
			storagetesting.RunBenchmarkStoreList(ctx, b, s, data, false)
		}},
		{"upstream BenchmarkStoreStats", func(ctx context.Context, b *testing.B, s storage.Interface, _ storagetesting.BenchmarkData) {
			storagetesting.RunBenchmarkStoreStats(ctx, b, s)
		}},
		{"upstream BenchmarkWriteThroughput, all cases", func(ctx context.Context, b *testing.B, s storage.Interface, data storagetesting.BenchmarkData) {
			storagetesting.RunBenchmarkWriteThroughput(ctx, b, s, data, false, nil)
		}},
	} {
		result, err := t.benchmark(ctx, b.run)
		if err != nil {
			return fmt.Errorf("%s: %w", b.row, err)
		}
		t.record(b.row, milliseconds(result), "")
	}
	return nil
}

// benchmark returns the time of one operation on a storage that holds the benchmark's
// pods.
func (t *turn) benchmark(ctx context.Context, run func(context.Context, *testing.B, storage.Interface, storagetesting.BenchmarkData)) (time.Duration, error) {
	const namespaces, podsEach, nodes = 10, 100, 20
	in, err := t.start(ctx, t.contender)
	if err != nil {
		return 0, err
	}
	defer in.close()
	s, err := in.pods(ctx)
	if err != nil {
		return 0, err
	}
	data := storagetesting.PrepareBenchmarkData(namespaces, podsEach, nodes)
	if err := storagetesting.PrecreateBenchmarkPods(ctx, s, data); err != nil {
		return 0, err
	}
	result := testing.Benchmark(func(b *testing.B) { run(ctx, b, s, data) })
	if result.N == 0 {
		return 0, errors.New("the benchmark failed")
	}
	return time.Duration(result.NsPerOp()), nil
}

// setBenchmarkTime has every case of a benchmark take about that long.
func setBenchmarkTime(d time.Duration) error {
	testing.Init()
	return flag.Set("test.benchtime", d.String())
}
