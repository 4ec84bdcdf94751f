// Package api measures what requests cost through a cluster: those that our API server
// answers, beside those that the cluster answers itself, and beside kubernetes' sample of
// an aggregated API server, which keeps its objects in an etcd.
package api

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/test/bench/internal/report"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/tiny"
)

const (
	// clients ask at the same time, each by a connection of its own.
	clients = 16
	// listed objects are in a namespace.
	listed = 100
)

var env *harness.Environment

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &env)) }

// resource is what a request is for.
type resource struct {
	name  string
	group string // path of its API
	// manifest makes an object of a generated name, of some 2 KB as it is served.
	manifest string
	// server is the process behind the cluster's API server, 0 if there is none.
	server int
}

func (r *resource) in(namespace string) string {
	return r.group + "/namespaces/" + namespace + "/" + r.name
}

// contenders are the resources to compare: kubernetes' sample only if it was built.
func contenders(b *testing.B) []*resource {
	b.Helper()
	padding := strings.Repeat("about flowers ", 64)
	all := []*resource{
		{name: "deployments", group: "/apis/apps/v1", manifest: `{"apiVersion":"apps/v1","kind":"Deployment",
			"metadata":{"generateName":"flowers-","annotations":{"about":"` + padding + `"}},
			"spec":{"selector":{"matchLabels":{"app":"flowers"}},"template":{"metadata":{"labels":{"app":"flowers"}},"spec":{"containers":[{"name":"shop","image":"shop"}]}}}}`},
		{name: "stores", group: "/apis/platform.dev/v1alpha1", server: env.Server().PID(), manifest: `{"apiVersion":"platform.dev/v1alpha1","kind":"Store",
			"metadata":{"generateName":"flowers-","annotations":{"about":"` + padding + `"}},"spec":{"engine":"tiny"}}`},
	}
	platform := harness.Platform(b, env.Admin())
	if _, err := platform.Engines().Create(b.Context(), tiny.Engine("tiny", 600), metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(env.Repository(), "_output", "bin", "sample-apiserver")
	if _, err := os.Stat(program); err != nil {
		b.Logf("without kubernetes' sample: %v", err)
		return all
	}
	sample := &harness.Aggregated{Group: "wardle.example.com", Version: "v1alpha1", Program: program}
	if err := sample.Start(b, env); err != nil {
		b.Fatal(err)
	}
	return append(all, &resource{name: "flunders", group: "/apis/wardle.example.com/v1alpha1", server: sample.PID(), manifest: `{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder",
		"metadata":{"generateName":"flowers-","annotations":{"about":"` + padding + `"}},"spec":{"reference":"one"}}`})
}

// ask makes a request and returns how much it was answered.
func ask(ctx context.Context, client *harness.Client, method, path, body string) (int, error) {
	status, answer, err := client.Send(ctx, method, path, http.Header{"Content-Type": {"application/json"}}, body)
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return len(answer), err
}

// measure makes the same request from all clients, and reports how many were answered a
// second, and what one costs the processes that serve it.
func measure(b *testing.B, r *resource, method, path, body string) {
	b.Helper()
	programs := map[string]int{"kube-apiserver": env.Programs()["kube-apiserver"]}
	if r.server != 0 {
		programs["server"] = r.server
	}
	used := func(pid int) time.Duration {
		spent, err := report.ProcessorTime(pid)
		if err != nil {
			b.Fatal(err)
		}
		return spent
	}
	before := map[string]time.Duration{}
	for name, pid := range programs {
		before[name] = used(pid)
	}
	b.SetParallelism(clients / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := harness.NewClient(env.Admin())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.CloseIdleConnections()
		for pb.Next() {
			if _, err := ask(b.Context(), c, method, path, body); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	for name, pid := range programs {
		b.ReportMetric(float64((used(pid)-before[name]).Microseconds())/float64(b.N), name+"-µs/op")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkRequests compares requests for the three resources. None has a controller.
func BenchmarkRequests(b *testing.B) {
	all := contenders(b)
	first, err := harness.NewClient(env.Admin())
	if err != nil {
		b.Fatal(err)
	}
	full := env.NewNamespace(b)
	for _, r := range all {
		for range listed - 1 {
			if _, err := ask(b.Context(), first, http.MethodPost, r.in(full), r.manifest); err != nil {
				b.Fatal(err)
			}
		}
		size, err := ask(b.Context(), first, http.MethodPost, r.in(full), strings.Replace(r.manifest, `"generateName":"flowers-"`, `"name":"flowers"`, 1))
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%s: %d bytes", r.name, size)
	}
	for _, request := range []struct {
		name string
		run  func(*testing.B, *resource)
	}{
		{"get", func(b *testing.B, r *resource) { measure(b, r, http.MethodGet, r.in(full)+"/flowers", "") }},
		{"get of what is remembered", func(b *testing.B, r *resource) {
			measure(b, r, http.MethodGet, r.in(full)+"/flowers?resourceVersion=0", "")
		}},
		{"list of 100", func(b *testing.B, r *resource) {
			measure(b, r, http.MethodGet, r.in(full)+"?resourceVersion=0", "")
		}},
		{"create", func(b *testing.B, r *resource) {
			namespace := env.NewNamespace(b)
			// Stores of one name in two namespaces want the same host.
			manifest := strings.Replace(r.manifest, `"generateName":"flowers-"`, `"generateName":"`+namespace+`-"`, 1)
			measure(b, r, http.MethodPost, r.in(namespace), manifest)
		}},
	} {
		for _, r := range all {
			b.Run(request.name+"/"+r.name, func(b *testing.B) { request.run(b, r) })
		}
	}
}
