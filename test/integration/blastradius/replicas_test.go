package blastradius

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"platform.dev/stores/test/internal/harness"
)

// attempt is one read of a store.
type attempt struct {
	began, ended time.Time
	err          error
}

// load reads a store through the cluster as fast as it can, in a number of loops.
type load struct {
	mu     sync.Mutex
	count  int
	failed []attempt

	stop context.CancelFunc
	all  sync.WaitGroup
}

const readers = 16

func startLoad(t *testing.T, path string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel}
	t.Cleanup(l.end)
	for range readers {
		// A connection each, as of as many clients.
		config := env.Admin()
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		l.all.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				a := attempt{began: time.Now()}
				a.err = readOnce(ctx, client, config.Host+path)
				a.ended = time.Now()
				if ctx.Err() == nil {
					l.add(a)
				}
			}
		})
	}
	return l
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

// served is how many reads there have been.
func (l *load) served() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// more waits until as many more reads were answered.
func (l *load) more(t *testing.T, count int) {
	t.Helper()
	from := l.served()
	harness.Eventually(t, patience, "more reads", func(context.Context) (bool, error) { return l.served() >= from+count, nil })
}

func readOnce(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return err
}

// A replica that goes is not noticed by those who read, and of one that dies or hangs
// they notice what was under way and what the cluster sends to it until it knows.
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
			namespace := env.NewNamespace(t)
			store := newStore(t, namespace)
			reads := startLoad(t, group+"/namespaces/"+namespace+"/stores/"+store.Name+"?resourceVersion=0")
			began := time.Now()
			reads.more(t, 2000)
			t.Logf("%.0f reads per second on %d processors", float64(reads.served())/time.Since(began).Seconds(), runtime.NumCPU())
			// The cluster reads over one connection: it leads to one of the two.
			for _, server := range []*harness.Server{first, second} {
				at := time.Now()
				test.fail(balancer, server)
				<-server.Exited()
				reads.more(t, 2000)
				check(t, reads, at, test.noticed)
				next := env.StartServer(t, env.Database())
				balancer.Add(next)
				balancer.Await(t, next)
			}
		})
	}
}

func signal(s syscall.Signal) func(*harness.Balancer, *harness.Server) {
	return func(_ *harness.Balancer, server *harness.Server) { server.Signal(s) }
}

// check says what failed since a replica was sent a signal, and fails the test for more
// than is allowed.
func check(t *testing.T, reads *load, at time.Time, noticed time.Duration) {
	t.Helper()
	reads.mu.Lock()
	defer reads.mu.Unlock()
	var underWay, later int
	var last time.Duration
	for _, a := range reads.failed {
		since := a.began.Sub(at)
		last = max(last, a.ended.Sub(at))
		switch {
		case since < 0:
			underWay++
		case since <= noticed:
			later++
		default:
			t.Errorf("a read that began %s after the signal failed: %v", since, a.err)
		}
	}
	if noticed == 0 && underWay > 0 {
		t.Errorf("%d reads that were under way failed, for example with %v", underWay, reads.failed[0].err)
	}
	t.Logf("failed: %d reads that were under way and %d later ones, the last %s after the signal", underWay, later, last.Round(time.Millisecond))
	reads.failed = slices.Delete(reads.failed, 0, len(reads.failed))
}
