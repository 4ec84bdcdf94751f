package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// The benchmarks are for profiles. How fast the storage is beside others is measured in
// test/bench. Durable figures need a server of one's own, see postgrestest.

// benchmarkClients are how many requests are under way at a time.
var benchmarkClients = []int{1, 64, 256}

// concurrently runs f b.N times, by a number of clients.
func concurrently(b *testing.B, clients int, f func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := int(next.Add(1)); i <= b.N && !b.Failed(); i = int(next.Add(1)) {
				if err := f(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// largePod is a pod of about 2 KiB that does not compress.
func largePod(name string) *example.Pod {
	padding := make([]byte, 1700)
	for i := range padding {
		padding[i] = byte('!' + 1 + rand.IntN(90))
		if padding[i] == '\\' {
			padding[i] = 'x'
		}
	}
	pod := newPod(name)
	pod.Annotations = map[string]string{"padding": string(padding)}
	return pod
}

func BenchmarkCreate(b *testing.B) {
	for _, clients := range benchmarkClients {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			f := newFixture(b, withTransformer(nil))
			template := largePod("")
			b.ResetTimer()
			concurrently(b, clients, func(i int) error {
				pod := template.DeepCopy()
				pod.Name = fmt.Sprint(i)
				return f.Create(context.Background(), podKey(pod.Name), pod, &example.Pod{}, 0)
			})
		})
	}
}

// BenchmarkUpdate updates with what is in the cache, as behind the watch cache.
func BenchmarkUpdate(b *testing.B) {
	for _, clients := range benchmarkClients {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			f := newFixture(b, withTransformer(nil))
			pods := createPods(b, f, 4*clients)
			b.ResetTimer()
			concurrently(b, clients, func(int) error { return f.step(pods) })
		})
	}
}

// createPods returns large pods as they are in the cache.
func createPods(b *testing.B, f *fixture, count int) chan *example.Pod {
	b.Helper()
	pods := make(chan *example.Pod, count)
	for i := range count {
		out, name := &example.Pod{}, fmt.Sprint(i)
		if err := f.Create(b.Context(), podKey(name), largePod(name), out, 0); err != nil {
			b.Fatal(err)
		}
		pods <- out
	}
	return pods
}

// step updates one of the pods from the cache and puts the result there.
func (f *fixture) step(pods chan *example.Pod) error {
	pod, out := <-pods, &example.Pod{}
	err := f.GuaranteedUpdate(context.Background(), podKey(pod.Name), out, false, nil, storage.SimpleUpdate(
		func(obj runtime.Object) (runtime.Object, error) {
			obj.(*example.Pod).Labels = map[string]string{"step": pod.ResourceVersion}
			return obj, nil
		}), pod)
	pods <- out
	return err
}

// BenchmarkList lists 10,000 objects from the storage, in a process that has done so
// before, and in one that keeps nothing, as if it had just started.
func BenchmarkList(b *testing.B) {
	for _, test := range []struct {
		name  string
		bound int
	}{{"again", defaultDecodedBytes}, {"fresh", -1}} {
		b.Run(test.name, func(b *testing.B) {
			f := newFixture(b, withTransformer(nil))
			f.db.memory.bound = test.bound
			createPods(b, f, 10000)
			list := func() {
				opts := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
				if err := f.GetList(b.Context(), "/pods", opts, &example.PodList{}); err != nil {
					b.Fatal(err)
				}
			}
			list()
			b.ReportAllocs()
			for b.Loop() {
				list()
			}
		})
	}
}
