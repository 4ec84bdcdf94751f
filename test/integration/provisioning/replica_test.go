package provisioning

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/chart"
	enginepkg "platform.dev/stores/pkg/engine"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/pkg/provisioner/helm"
	"platform.dev/stores/pkg/provisioner/multiplex"
	"platform.dev/stores/pkg/provisioner/shards"
	"platform.dev/stores/test/internal/tiny"
)

// The times by which replicas share stores in tests.
const (
	leaseDuration = 3 * time.Second
	renewDeadline = 2 * time.Second
	retryPeriod   = 200 * time.Millisecond
)

// request is one that a replica made in the namespace of a store.
type request struct {
	replica, namespace, method string
	began, ended               time.Time
}

func (r request) writes() bool { return r.method != http.MethodGet }

// record is what all replicas of a test asked for.
type record struct {
	mu       sync.Mutex
	requests []request
}

func (r *record) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// replica is a provisioner in this process, with what the chart's Deployment
// gives it but for the storefront, which is the test's.
type replica struct {
	*provisioner.Controller
	name   string
	shares *shards.Shards
	config provisioner.Config
	stop   context.CancelFunc
	ended  chan error    // what the share came to
	worked chan struct{} // closed when nothing is under way any more

	gate   sync.RWMutex // held for writing while the replica is paused
	record *record
	dead   context.Context
	die    context.CancelFunc
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// paused stops every request of a process that is stopped, wherever it is.
func (r *replica) paused(next http.RoundTripper) http.RoundTripper {
	return transport(func(request *http.Request) (*http.Response, error) {
		r.gate.RLock()
		//nolint:staticcheck // It waits only.
		r.gate.RUnlock()
		if r.dead.Err() != nil {
			return nil, errors.New("the replica was killed")
		}
		return next.RoundTrip(request)
	})
}

// recorded notes what reaches the API server.
func (r *replica) recorded(next http.RoundTripper) http.RoundTripper {
	return transport(func(req *http.Request) (*http.Response, error) {
		_, rest, found := strings.Cut(req.URL.Path, "/namespaces/store-")
		if !found || req.URL.Query().Has("watch") {
			return next.RoundTrip(req)
		}
		namespace, _, _ := strings.Cut("store-"+rest, "/")
		began := time.Now()
		response, err := next.RoundTrip(req)
		r.record.mu.Lock()
		defer r.record.mu.Unlock()
		r.record.requests = append(r.record.requests, request{r.name, namespace, req.Method, began, time.Now()})
		return response, err
	})
}

// startReplica starts a provisioner. It ends with the test.
func startReplica(t testing.TB, name string, record *record, edit ...func(*provisioner.Config)) *replica {
	t.Helper()
	env.StartControllers(t)
	config, namespace, account := env.Provisioner(t)
	r := &replica{name: name, record: record, ended: make(chan error, 1), worked: make(chan struct{})}
	r.dead, r.die = context.WithCancel(context.WithoutCancel(t.Context()))
	leases := rest.CopyConfig(config)
	leases.Timeout = renewDeadline / 2
	leases.Wrap(r.paused)
	r.shares = shards.New(shards.Config{
		Leases: kubernetes.NewForConfigOrDie(leases).CoordinationV1().Leases(namespace), Identity: name + "-" + rand.String(5), Count: 16,
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
	})
	// What comes first is nearest to the network.
	config.Wrap(r.recorded)
	config.Wrap(r.shares.Fence)
	config.Wrap(r.paused)
	sdk, err := helm.NewSDK(config)
	if err != nil {
		t.Fatal(err)
	}
	streams, err := multiplex.ClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(shop.Close)
	r.config = provisioner.Config{
		Stores: clientset.NewForConfigOrDie(config), Kube: kubernetes.NewForConfigOrDie(config),
		Metadata: metadata.NewForConfigOrDie(config), Dynamic: dynamic.NewForConfigOrDie(config), Streams: streams,
		Helm: sdk, Charts: chart.NewCharts(tiny.Charts), Shares: r.shares,
		Identity:      provisioner.Identity{Namespace: namespace, ServiceAccount: account, ClusterRole: "platform-provisioner-store"},
		Platform:      enginepkg.Platform{Scheme: "https"},
		StorefrontURL: func(string, string, int32) string { return shop.URL },
	}
	for _, f := range edit {
		f(&r.config)
	}
	if r.Controller, err = provisioner.New(r.config); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	return r
}

// run works as cmd/provisioner does: the share is held until the work has ended,
// and work whose share is lost is not waited for.
func (r *replica) run(t testing.TB) {
	ctx, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(t.Context()), logr.Discard()))
	hold, release := context.WithCancel(klog.NewContext(context.WithoutCancel(t.Context()), logr.Discard()))
	r.stop = stop
	go func() {
		defer close(r.worked)
		_ = r.Run(ctx)
		release()
	}()
	go func() {
		err := r.shares.Run(hold)
		stop()
		r.ended <- err
	}()
	t.Cleanup(func() {
		r.resume()
		stop()
		<-r.worked
		release()
	})
}

// leave ends the replica as SIGTERM does.
func (r *replica) leave(t testing.TB) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("replica %s ended with %v", r.name, err)
	}
	r.ended <- nil
}

// kill ends the replica as SIGKILL does: nothing of it reaches anybody any more.
func (r *replica) kill() { r.die(); r.stop() }

// pause stops the replica as SIGSTOP does, until resume.
func (r *replica) pause() { r.gate.Lock() }

func (r *replica) resume() {
	r.gate.TryLock()
	r.gate.Unlock()
}
