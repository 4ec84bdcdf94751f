package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/bench/internal/report"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
)

// The limits of the helm-controller in Flux's benchmark.
const (
	memoryLimit = "1GiB"
	processors  = 2
)

// figures are those of one number of stores.
type figures struct {
	stores int
	onNode bool // and not without nodes and pods
	// provisioning is from the first creation until all are ready, and steady a time
	// after that in which nobody changes anything.
	provisioning, steady span
	// half is how long it took until half of them were ready.
	half time.Duration
	// peak is the most memory that the controller ever had, in bytes.
	peak int64
	// settled is how the provisioner is once all is done.
	settled state
	// flux are those of Flux's helm-controller, nil if it was not measured.
	flux *figures
}

// span is what was done in a time.
type span struct {
	took     time.Duration
	cpu      map[string]time.Duration // by program
	requests requests                 // of the controller
	total    float64                  // requests that the kube-apiserver has answered to anybody, watches apart
}

// state is what a process holds.
type state struct {
	memory, heap, stacks, goroutines, clusterMemory float64 // bytes, but for goroutines
}

// measure provisions so many stores in a cluster of their own, with a node or without.
func measure(ctx context.Context, o *options, size int, onNode bool, progress io.Writer) (*figures, error) {
	scope := &process.Scope{}
	defer scope.End()
	c, err := startCluster(ctx, scope, harness.ProvisionerUser, onNode)
	if err != nil {
		return nil, err
	}
	if onNode {
		if err := c.startNode(ctx, scope, o); err != nil {
			return nil, err
		}
	}
	if err := c.startProvisioner(ctx, scope, o); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "creating %d stores\n", size)
	f := &figures{stores: size, onNode: onNode}
	if f.provisioning, err = c.during(ctx, func(ctx context.Context) (err error) {
		f.half, err = c.provision(ctx, o, size, progress)
		return err
	}); err != nil {
		return nil, err
	}
	if err := wait(ctx, o.settle); err != nil {
		return nil, err
	}
	if f.settled, err = c.state(ctx); err != nil {
		return nil, err
	}
	if f.steady, err = c.during(ctx, func(ctx context.Context) error { return wait(ctx, o.steady) }); err != nil {
		return nil, err
	}
	_, f.peak, err = report.Memory(c.provisioner.PID())
	return f, err
}

// cluster is a control plane with the platform's API.
type cluster struct {
	environment *harness.Environment
	database    *postgrestest.Server
	repository  string // of the chart
	archive     string // the chart's file
	provisioner *harness.Provisioner
	process     *process.Process // the controller's
	programs    map[string]int   // processes by program
	stores      versioned.Interface
	kube        kubernetes.Interface
	audit       *audit
}

// controller is how the program is called that is measured.
const controller = "controller"

// startCluster starts everything but a controller, whose requests as a user are going to
// be counted. There is a namespace for what is created. The chart's Deployment has a pod
// if there is to be a node.
func startCluster(ctx context.Context, scope *process.Scope, user string, onNode bool) (*cluster, error) {
	database, err := postgrestest.Start(postgrestest.Options{})
	if err != nil {
		return nil, err
	}
	scope.Cleanup(database.Remove)
	environment, err := harness.Start(ctx, database.DSN(), user)
	scope.Cleanup(environment.Stop)
	if err != nil {
		return nil, err
	}
	c := &cluster{environment: environment, database: database, audit: &audit{path: environment.AuditLog(), user: user}}
	if c.stores, err = versioned.NewForConfig(environment.Admin()); err != nil {
		return nil, err
	}
	if c.kube, err = kubernetes.NewForConfig(environment.Admin()); err != nil {
		return nil, err
	}
	environment.StartControllers(scope)
	folder, err := os.MkdirTemp("", "bench-provision")
	if err != nil {
		return nil, err
	}
	scope.Cleanup(func() { _ = os.RemoveAll(folder) })
	replicas := 0
	if onNode {
		replicas = 1
	}
	if c.repository, c.archive, err = serveChart(scope, folder, replicas); err != nil {
		return nil, err
	}
	c.programs = environment.Programs()
	if c.programs["PostgreSQL"], err = processOf(ctx, database.DSN()); err != nil {
		return nil, err
	}
	return c, c.createNamespace(ctx, engineName)
}

func (c *cluster) createNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating the namespace: %w", err)
	}
	return nil
}

// startProvisioner starts ours, with an engine.
func (c *cluster) startProvisioner(ctx context.Context, scope *process.Scope, o *options) error {
	if _, err := c.stores.PlatformV1alpha1().Engines().Create(ctx, newEngine(c.repository), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating the engine: %w", err)
	}
	// Whatever the shop, it sells.
	shops := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	scope.Cleanup(shops.Close)
	c.provisioner = c.environment.StartProvisioner(scope, limits(),
		fmt.Sprintf("--workers=%d", o.workers), "--storefront-address="+shops.Listener.Addr().String(), "--profiling")
	c.process, c.programs[controller] = c.provisioner.Process, c.provisioner.PID()
	return nil
}

// limits are the variables that bound a controller.
func limits() []string {
	return []string{"GOMEMLIMIT=" + memoryLimit, fmt.Sprintf("GOMAXPROCS=%d", processors)}
}

// processOf returns the process of a database server.
func processOf(ctx context.Context, dsn string) (int, error) {
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	defer func() { _ = connection.Close(ctx) }()
	return report.Parent(int(connection.PgConn().PID()))
}

// whileRuns ends the context with the controller.
func (c *cluster) whileRuns(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.process.Exited():
			cancel(fmt.Errorf("%s has ended with code %d", c.process.Name(), c.process.ExitCode()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// provision creates the stores and waits for them. It returns how long it took until
// half of them were ready.
func (c *cluster) provision(ctx context.Context, o *options, size int, progress io.Writer) (half time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	ctx, stop := c.whileRuns(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	stores := c.stores.PlatformV1alpha1().Stores(engineName)
	group.Go(func() error { return create(ctx, stores, size) })
	group.Go(func() (err error) {
		half, err = allReady(ctx, stores, size, progress)
		return err
	})
	if o.profiles == "" {
		return half, group.Wait()
	}
	provisioned := make(chan error, 1)
	go func() { provisioned <- group.Wait() }()
	// Somewhere in the middle of it.
	err = c.profile(ctx, filepath.Join(o.profiles, fmt.Sprintf("cpu-%d.pprof", size)), "profile?seconds=10")
	if failure := <-provisioned; failure != nil {
		return half, failure
	}
	if err != nil {
		return half, err
	}
	return half, c.profile(context.WithoutCancel(ctx), filepath.Join(o.profiles, fmt.Sprintf("heap-%d.pprof", size)), "heap")
}

// profile writes a profile of the provisioner to a file.
func (c *cluster) profile(ctx context.Context, file, kind string) error {
	content, err := get(context.WithoutCancel(ctx), c.provisioner.URL+"/debug/pprof/"+kind)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// during returns what is done while do runs.
func (c *cluster) during(ctx context.Context, do func(context.Context) error) (span, error) {
	before, err := c.usage(ctx)
	if err != nil {
		return span{}, err
	}
	began := time.Now()
	if err := do(ctx); err != nil {
		return span{}, err
	}
	s := span{took: time.Since(began), cpu: map[string]time.Duration{}}
	after, err := c.usage(ctx)
	if err != nil {
		return span{}, err
	}
	for program, cpu := range after.cpu {
		s.cpu[program] = cpu - before.cpu[program]
	}
	s.requests, s.total = after.requests.minus(before.requests), after.total-before.total
	return s, nil
}

// usage is what has been used so far.
func (c *cluster) usage(ctx context.Context) (span, error) {
	u := span{cpu: map[string]time.Duration{}}
	var err error
	for program, pid := range c.programs {
		if u.cpu[program], err = report.ProcessorTime(pid); err != nil {
			return u, err
		}
	}
	if u.requests, err = c.audit.read(); err != nil {
		return u, err
	}
	metrics, err := c.kube.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return u, fmt.Errorf("reading the kube-apiserver's metrics: %w", err)
	}
	u.total, err = sum(metrics, "apiserver_request_total", map[string]string{"verb": "WATCH"})
	return u, err
}

// state is what the provisioner holds now.
func (c *cluster) state(ctx context.Context) (state, error) {
	metrics, err := get(ctx, c.provisioner.URL+"/metrics")
	if err != nil {
		return state{}, err
	}
	var s state
	for name, value := range map[string]*float64{"go_memstats_heap_alloc_bytes": &s.heap, "go_memstats_stack_inuse_bytes": &s.stacks, "go_goroutines": &s.goroutines} {
		if *value, err = sum(metrics, name, nil); err != nil {
			return state{}, err
		}
	}
	now, _, err := report.Memory(c.provisioner.PID())
	if err != nil {
		return state{}, err
	}
	clusterMemory, _, err := report.Memory(c.programs["kube-apiserver"])
	s.memory, s.clusterMemory = float64(now), float64(clusterMemory)
	return s, err
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s answered %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
