package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/storage/postgres"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/pkg/storage/postgres/watchcache"
	"platform.dev/stores/test/bench/internal/report"
	"platform.dev/stores/test/internal/process"
)

// The contenders, as they are called in the results.
const (
	ours    = "ours"
	etcd    = "etcd"
	kine    = "kine"
	ceiling = "pgbench" // what the same PostgreSQL server inserts at most
)

const (
	startTimeout = 30 * time.Second
	stopGrace    = 5 * time.Second
)

// postgresSettings are durable, and roomy enough that no checkpoint is forced by the
// size of the log. kine needs two connections for every client.
var postgresSettings = []string{
	"fsync=on", "synchronous_commit=on", "full_page_writes=on",
	"shared_buffers=1GB", "max_wal_size=8GB", "max_connections=800",
}

// machinery is what all contenders run on.
type machinery struct {
	folder   string // for data and logs
	port     int    // of the PostgreSQL server
	postgres int    // its process
	admin    *pgx.Conn
	programs string // the folder of etcd and kine
	made     int    // names databases, folders and logs
}

// newMachinery starts the PostgreSQL server. It ends with the scope.
func newMachinery(ctx context.Context, scope *process.Scope, programs string) (*machinery, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, fmt.Errorf("finding a port: %w", err)
	}
	folder, err := os.MkdirTemp("", "bench-storage")
	if err != nil {
		return nil, fmt.Errorf("making a folder for data: %w", err)
	}
	scope.Cleanup(func() { _ = os.RemoveAll(folder) }) // the system cleans up what is left
	server := postgrestest.StartServer(scope, append(postgresSettings,
		"listen_addresses=127.0.0.1", "port="+strconv.Itoa(port))...)
	admin, err := pgx.Connect(ctx, server.DSN())
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	scope.Cleanup(func() { _ = admin.Close(context.WithoutCancel(ctx)) })
	m := &machinery{folder: folder, port: port, admin: admin, programs: programs}
	m.postgres, err = report.Parent(int(admin.PgConn().PID()))
	return m, err
}

// name returns one that nothing else has.
func (m *machinery) name(of string) string {
	m.made++
	return fmt.Sprintf("%s_%d", of, m.made)
}

// dsn leads to a database over TCP, as it would from another machine.
func (m *machinery) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", m.port, database)
}

// walPosition returns how many bytes of write-ahead log the server has written.
func (m *machinery) walPosition(ctx context.Context) (position int64, err error) {
	err = m.admin.QueryRow(ctx, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").Scan(&position)
	return position, err
}

// closers are what is to be undone.
type closers []func()

func (c *closers) onClose(f func()) { *c = append(*c, f) }

// close undoes everything, the last first. Later calls do nothing.
func (c *closers) close() {
	for _, f := range slices.Backward(*c) {
		f()
	}
	*c = nil
}

// instance is a running contender with data of its own.
type instance struct {
	*machinery
	closers
	contender string
	processes []int // those that do its work, besides this one
	database  string
	connect   func(ctx context.Context, r *replica) error
}

// replica is what one API server sees of an instance.
type replica struct {
	closers
	config      storagebackend.Config
	raw, cached generic.StorageDecorator
}

// start runs a contender on empty storage. The caller closes it.
func (m *machinery) start(ctx context.Context, contender string) (*instance, error) {
	in := &instance{machinery: m, contender: contender}
	var err error
	switch contender {
	case ours:
		err = in.startOurs(ctx)
	case etcd:
		err = in.startEtcd(ctx)
	case kine:
		err = in.startKine(ctx)
	default:
		err = errors.New("no such contender")
	}
	if err != nil {
		in.close()
		return nil, fmt.Errorf("starting %s: %w", contender, err)
	}
	return in, nil
}

// open returns a new replica, which is closed with the instance at the latest.
func (in *instance) open(ctx context.Context) (*replica, error) {
	r := &replica{}
	in.onClose(r.close)
	if err := in.connect(ctx, r); err != nil {
		return nil, fmt.Errorf("opening a replica: %w", err)
	}
	return r, nil
}

func (in *instance) startOurs(ctx context.Context) error {
	if err := in.createDatabase(ctx); err != nil {
		return err
	}
	postgres.EnableWatchProgress()
	in.connect = func(ctx context.Context, r *replica) error {
		db, err := postgres.Open(ctx, postgres.Config{ConnString: in.dsn(in.database)})
		if err != nil {
			return err
		}
		r.onClose(db.Close)
		r.config = *storagebackend.NewDefaultConfig("", ourCodec)
		r.raw, r.cached = withoutCache(db), watchcache.Decorator(db, nil, watchcache.RoundTrips)
		return nil
	}
	return nil
}

// withoutCache is what watchcache.Decorator puts the watch cache on.
func withoutCache(db *postgres.Database) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource, resourcePrefix string, _ func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, _ storage.AttrFunc, _ storage.IndexerFuncs, _ *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		s, err := db.NewStorage(postgres.Resource{
			GroupResource: config.GroupResource, Prefix: resourcePrefix, Codec: config.Codec,
			NewFunc: newFunc, NewListFunc: newListFunc,
			RoundTrips: true, // as those of the platform do
		})
		return s, func() {}, err
	}
}

func (in *instance) startEtcd(ctx context.Context) error {
	client, err := process.FreePort()
	if err != nil {
		return err
	}
	peer, err := process.FreePort()
	if err != nil {
		return err
	}
	data := filepath.Join(in.folder, in.name(etcd))
	in.onClose(func() { _ = os.RemoveAll(data) })
	clientURL, peerURL := loopback(client), loopback(peer)
	if err := in.launch(ctx, etcd, client,
		"--data-dir="+data, "--name=bench", "--log-level=warn", "--quota-backend-bytes=8589934592",
		// As kubeadm sets it up: the watch cache of the API server relies on it.
		"--watch-progress-notify-interval=5s",
		"--listen-client-urls="+clientURL, "--advertise-client-urls="+clientURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=bench="+peerURL,
	); err != nil {
		return err
	}
	in.connect = func(_ context.Context, r *replica) error {
		r.speakTo(client)
		return nil
	}
	return nil
}

func (in *instance) startKine(ctx context.Context) error {
	if err := in.createDatabase(ctx); err != nil {
		return err
	}
	in.connect = func(ctx context.Context, r *replica) error {
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		r.speakTo(port)
		return in.launch(ctx, kine, port,
			"--listen-address=127.0.0.1:"+strconv.Itoa(port), "--metrics-bind-address=0",
			"--endpoint="+in.dsn(in.database),
			// With the default of 20 it opens a connection for nearly every request of
			// many clients, and with a bound on open ones it locks itself up.
			"--datastore-max-idle-connections=600")
	}
	return nil
}

// speakTo uses a server as the API server does.
func (r *replica) speakTo(port int) {
	r.config = *storagebackend.NewDefaultConfig("/registry", libraryCodec)
	r.config.Transport.ServerList = []string{loopback(port)}
	r.raw, r.cached = generic.UndecoratedStorage, registry.StorageWithCacher()
}

func loopback(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// launch starts a program that listens on a port and waits until it does.
func (in *instance) launch(ctx context.Context, program string, port int, args ...string) error {
	log := filepath.Join(in.folder, in.name(program)+".log")
	p, err := process.Start(program, log, filepath.Join(in.programs, program), args...)
	if err != nil {
		return err
	}
	in.processes = append(in.processes, p.PID())
	in.onClose(func() { p.Stop(stopGrace) })
	return p.WaitFor(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (in *instance) createDatabase(ctx context.Context) error {
	in.database = in.name(in.contender)
	if _, err := in.admin.Exec(ctx, "create database "+in.database); err != nil {
		return fmt.Errorf("creating database: %w", err)
	}
	in.processes = append(in.processes, in.postgres)
	in.onClose(func() {
		_, _ = in.admin.Exec(context.WithoutCancel(ctx), "drop database "+in.database+" with (force)")
	})
	return nil
}

// resource returns the storage of one resource's objects, which are pods whatever it is
// called. It lives as long as the replica.
func (r *replica) resource(ctx context.Context, name string, decorate generic.StorageDecorator) (storage.Interface, error) {
	prefix := "/" + name + "/"
	s, destroy, err := decorate(
		r.config.ForResource(schema.GroupResource{Resource: name}), prefix,
		func(obj runtime.Object) (string, error) { return storage.NamespaceKeyFunc(prefix, obj) },
		func() runtime.Object { return &example.Pod{} }, func() runtime.Object { return &example.PodList{} },
		attributes, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("opening storage of %s: %w", name, err)
	}
	r.onClose(destroy)
	err = wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, startTimeout, true, func(context.Context) (bool, error) {
		return s.ReadinessCheck() == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for the cache of %s: %w", name, err)
	}
	return s, nil
}

// pods returns the storage of pods, without a cache, of a new replica.
func (in *instance) pods(ctx context.Context) (storage.Interface, error) {
	r, err := in.open(ctx)
	if err != nil {
		return nil, err
	}
	return r.resource(ctx, "pods", r.raw)
}

// podsTwice returns the storage of pods of a new replica: without and behind the watch
// cache.
func (in *instance) podsTwice(ctx context.Context) (raw, cached storage.Interface, err error) {
	r, err := in.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if raw, err = r.resource(ctx, "pods", r.raw); err != nil {
		return nil, nil, err
	}
	cached, err = r.resource(ctx, "pods", r.cached)
	return raw, cached, err
}
