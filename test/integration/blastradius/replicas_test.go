package blastradius

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/test/internal/harness"
)

// attempt is one request.
type attempt struct {
	began, ended time.Time
	err          error
}

// load makes a request through the cluster as fast as it can, in a number of loops.
type load struct {
	method, path string
	body         func() string

	mu     sync.Mutex
	count  int
	failed []attempt

	stop context.CancelFunc
	all  sync.WaitGroup
}

// start begins with a number of loops, until the test ends.
func (l *load) start(t *testing.T, loops int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	t.Cleanup(l.end)
	for range loops {
		// A connection each, as of as many clients.
		client, err := harness.NewClient(env.Admin())
		if err != nil {
			t.Fatal(err)
		}
		l.all.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				a := attempt{began: time.Now()}
				a.err = l.once(ctx, client)
				a.ended = time.Now()
				if ctx.Err() == nil {
					l.add(a)
				}
			}
		})
	}
}

func (l *load) add(a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if a.err != nil {
		l.failed = append(l.failed, a)
	}
}

// end stops all loops.
func (l *load) end() {
	l.stop()
	l.all.Wait()
}

// served is how many requests there have been.
func (l *load) served() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// more waits until as many more requests were answered.
func (l *load) more(t *testing.T, count int) {
	t.Helper()
	from := l.served()
	harness.Eventually(t, patience, "more requests", func(context.Context) (bool, error) { return l.served() >= from+count, nil })
}

func (l *load) once(ctx context.Context, client *harness.Client) error {
	status, answer, err := client.Send(ctx, l.method, l.path, http.Header{"Content-Type": {string(types.MergePatchType)}}, l.body())
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, answer)
	}
	return err
}

// A replica that goes is not noticed by anybody. Of one that dies or hangs those notice
// who had a write under way there, or sent there until the cluster knew; others go on.
func TestReplicasFail(t *testing.T) {
	for name, test := range map[string]struct {
		fail func(*harness.Balancer, *harness.Server)
		// noticed is how long the cluster may go on to send requests to the replica.
		noticed time.Duration
	}{
		"is deleted": {fail: (*harness.Balancer).Delete},
		// A kubelet needs a second to see it.
		"is killed": {fail: signal(syscall.SIGKILL), noticed: 1500 * time.Millisecond},
		// By the liveness probe of the chart.
		"hangs": {fail: signal(syscall.SIGSTOP), noticed: 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := env.StartServer(t, env.Database()), env.StartServer(t, env.Database())
			balancer := env.Balance(t, first, second)
			reads, writes := startLoad(t)
			began := time.Now()
			reads.more(t, 2000)
			t.Logf("%.0f reads per second on %d processors", float64(reads.served())/time.Since(began).Seconds(), runtime.NumCPU())
			at, served := time.Now(), reads.served()
			test.fail(balancer, first)
			reads.more(t, 100)
			if waited := time.Since(at); waited > 5*time.Second {
				t.Errorf("nobody could read for %s", waited)
			}
			<-first.Exited()
			t.Logf("%d reads until the replica had ended, %s after the signal", reads.served()-served, time.Since(at).Round(time.Millisecond))
			reads.more(t, 2000)
			check(t, "reads", reads, at, test.noticed)
			check(t, "writes", writes, at, test.noticed)
		})
	}
}

// A replica that comes while others serve gets a part of what is asked without a pause.
func TestReplicaComes(t *testing.T) {
	first, second := env.StartServer(t, env.Database()), env.StartServer(t, env.Database())
	balancer := env.Balance(t, first)
	reads, _ := startLoad(t)
	reads.more(t, 2000)
	balancer.Add(second)
	harness.Eventually(t, patience, "the new replica to serve", func(ctx context.Context) (bool, error) {
		_, metrics := harness.Request(ctx, t, second.As(env.Admin()), http.MethodGet, "/metrics", http.Header{}, "")
		served := 0
		for _, count := range getsServed.FindAllStringSubmatch(metrics, -1) {
			n, err := strconv.Atoi(count[1])
			if err != nil {
				return false, err
			}
			served += n
		}
		return served > 100, nil
	})
}

var getsServed = regexp.MustCompile(`(?m)^apiserver_request_total{.*resource="stores".*verb="GET".*} (\d+)$`)

// startLoad reads and writes a new store.
func startLoad(t *testing.T) (reads, writes *load) {
	t.Helper()
	namespace := env.NewNamespace(t)
	store := newStore(t, namespace)
	path := group + "/namespaces/" + namespace + "/stores/" + store.Name
	// From the memory of a replica that has heard of the store.
	reads = &load{method: http.MethodGet, path: path + "?resourceVersion=" + store.ResourceVersion, body: func() string { return "" }}
	writes = &load{method: http.MethodPatch, path: path, body: func() string {
		return fmt.Sprintf(`{"metadata":{"labels":{"example.com/part":%q}}}`, rand.String(8))
	}}
	reads.start(t, 16)
	writes.start(t, 2)
	return reads, writes
}

func signal(s syscall.Signal) func(*harness.Balancer, *harness.Server) {
	return func(_ *harness.Balancer, server *harness.Server) { server.Signal(s) }
}

// check says what failed since a replica was sent a signal, and fails the test for more
// than is allowed.
func check(t *testing.T, what string, l *load, at time.Time, noticed time.Duration) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var underWay, later int
	var last time.Duration
	for _, a := range l.failed {
		since := a.began.Sub(at)
		last = max(last, a.ended.Sub(at))
		switch {
		case since < 0:
			underWay++
		case since <= noticed:
			later++
		default:
			t.Errorf("%s: one that began %s after the signal failed: %v", what, since, a.err)
		}
	}
	if noticed == 0 && underWay > 0 {
		t.Errorf("%d %s that were under way failed, for example with %v", underWay, what, l.failed[0].err)
	}
	t.Logf("failed: %d %s that were under way and %d later ones, the last %s after the signal", underWay, what, later, last.Round(time.Millisecond))
}
