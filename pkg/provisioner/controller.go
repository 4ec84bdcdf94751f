package provisioner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/clientset/versioned/scheme"
	platforminformers "platform.dev/stores/pkg/generated/informers/externalversions"
	platformlisters "platform.dev/stores/pkg/generated/listers/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner/helm"
)

// reconcileTimeout ends a reconciliation that hangs. A Helm action, whose
// requests have timeouts of their own, is not cut off by it.
const reconcileTimeout = 2 * time.Minute

// Charts finds the charts that engines name. chart.Charts is the real one.
type Charts interface {
	// Load returns the chart at source.
	Load(ctx context.Context, source chart.Source) (*chart.Chart, error)
}

// Identity is who the controller is in the cluster. It binds the cluster role
// to the service account in each store's namespace, to have its rights there.
type Identity struct {
	// Namespace and ServiceAccount are the controller's own.
	Namespace, ServiceAccount string
	// ClusterRole is what it needs to be inside a store's namespace.
	ClusterRole string
	// Reader is the platform's API server, which shows the credentials of stores
	// to those who may see them. Left empty nobody is given that right.
	Reader Reader
}

// Reader is who may read the credentials of stores: a service account in the
// controller's namespace, and the ClusterRole that it gets in each store's.
type Reader struct {
	ServiceAccount, ClusterRole string
}

// Shares says which stores this replica is to work on. shards.Shards is the real
// one.
type Shares interface {
	// Begin allows to work on the store until end is called, unless the store is
	// another replica's.
	Begin(uid types.UID) (end func(), ok bool)
	// Mine is true while the store is this replica's.
	Mine(uid types.UID) bool
	// Of is the shard that the store is in.
	Of(uid types.UID) int
	// Notify has f called after a shard has become this replica's, and before
	// another may take it.
	Notify(f func(shard int, mine bool))
}

// Config is what a Controller needs. Everything without a default is required.
type Config struct {
	// Stores, Kube, Metadata and Dynamic are clients of one cluster.
	Stores   versioned.Interface
	Kube     kubernetes.Interface
	Metadata metadata.Interface
	Dynamic  dynamic.Interface
	// Streams is a client of the cluster for thousands of watches; the default is Kube's.
	Streams rest.Interface
	// Helm runs releases, and Charts finds what they are made from.
	Helm   helm.Interface
	Charts Charts
	// Identity is who the controller is.
	Identity Identity
	// Platform is how shoppers reach stores. CredentialsSecret is filled in.
	Platform engine.Platform
	// Shares are the stores to work on.
	Shares Shares
	// Workers is how many stores are worked on at once; the default is 4.
	Workers int
	// StorefrontURL is where the checks of a storefront connect to. The default
	// is the Service's name in the cluster's DNS.
	StorefrontURL func(namespace, service string, port int32) string
}

// Controller provisions stores. Make one with New, and Run it once.
type Controller struct {
	stores   versioned.Interface
	kube     kubernetes.Interface
	dynamic  dynamic.Interface
	helm     helm.Interface
	charts   Charts
	identity Identity
	platform engine.Platform
	shares   Shares
	workers  int

	storefrontURL func(namespace, service string, port int32) string
	now           func() time.Time

	informers    []cache.SharedIndexInformer
	storeIndex   cache.Indexer
	storeLister  platformlisters.StoreLister
	engineLister platformlisters.EngineLister
	namespaces   corelisters.NamespaceLister
	volumes      cache.Indexer

	broadcaster events.EventBroadcaster
	events      events.EventRecorder
	watches     *watches
	probes      *probes
	instruments *instruments
	waiting     *fairQueue
	crier       crier
	rollouts    *rollouts
	queue       workqueue.TypedDelayingInterface[cache.ObjectName]
	backoff     workqueue.TypedRateLimiter[cache.ObjectName]

	mu       sync.Mutex
	memories map[cache.ObjectName]*memory
}

// New returns a controller that does nothing until Run. It makes no request.
func New(config Config) (*Controller, error) {
	if config.Identity.Namespace == "" || config.Identity.ServiceAccount == "" || config.Identity.ClusterRole == "" {
		return nil, errors.New("the controller's namespace, service account and cluster role must be given")
	}
	if config.Workers <= 0 {
		config.Workers = 4
	}
	if config.StorefrontURL == nil {
		config.StorefrontURL = func(namespace, service string, port int32) string {
			return fmt.Sprintf("http://%s.%s.svc:%d", service, namespace, port)
		}
	}
	config.Platform.CredentialsSecret = CredentialsSecret
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: config.Kube.EventsV1()})
	c := &Controller{
		stores: config.Stores, kube: config.Kube, dynamic: config.Dynamic,
		helm: config.Helm, charts: config.Charts,
		identity: config.Identity, platform: config.Platform, shares: config.Shares, workers: config.Workers,
		storefrontURL: config.StorefrontURL,
		now:           time.Now,
		broadcaster:   broadcaster,
		events:        broadcaster.NewRecorder(scheme.Scheme, "platform.dev/"+FieldManager),
		instruments:   newInstruments(),
		backoff:       workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](250*time.Millisecond, 2*time.Minute),
		memories:      map[cache.ObjectName]*memory{},
		rollouts:      newRollouts(),
	}
	c.waiting = newFairQueue(c.classify, func() time.Time { return c.now() })
	c.queue = workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[cache.ObjectName]{
		Name: queueName,
		Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[cache.ObjectName]{
			Name: queueName, Queue: c.waiting,
		}),
	})
	c.watches = newWatches(config.Metadata, cmp.Or[rest.Interface](config.Streams, config.Kube.CoreV1().RESTClient()), c.wakeNamespace)
	c.probes = newProbes(c.queue.Add, func() time.Time { return c.now() })
	if err := c.inform(platforminformers.NewSharedInformerFactory(config.Stores, 0), informers.NewSharedInformerFactory(config.Kube, 0),
		informers.NewSharedInformerFactoryWithOptions(config.Kube, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = LabelStoreUID }))); err != nil {
		return nil, fmt.Errorf("setting the informers up: %w", err)
	}
	c.shares.Notify(c.shardMoved)
	return c, nil
}

// HasSynced is true once the controller has seen all stores and engines.
func (c *Controller) HasSynced() bool {
	for _, informer := range c.informers {
		if !informer.HasSynced() {
			return false
		}
	}
	return c.watches.hasSynced()
}

// Run works until ctx is done, and then returns when every reconciliation that
// had begun has come to its end.
func (c *Controller) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()

	if err := c.broadcaster.StartRecordingToSinkWithContext(background); err != nil {
		return fmt.Errorf("starting the recording of events: %w", err)
	}
	defer c.broadcaster.Shutdown()
	synced := make([]cache.InformerSynced, 0, len(c.informers))
	for _, informer := range c.informers {
		running.Go(func() { informer.RunWithContext(background) })
		synced = append(synced, informer.HasSynced)
	}
	running.Go(func() { c.watches.run(background) })
	running.Go(func() { c.probes.run(background) })
	running.Go(func() { wait.UntilWithContext(background, c.tellWaiting, tellEvery) })
	if !cache.WaitForCacheSync(ctx.Done(), append(synced, c.watches.hasSynced)...) {
		return nil
	}

	logger.Info("Provisioning stores", "workers", c.workers)
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() { c.work(background) })
	}
	workers.Go(func() { c.workOnRollouts(background) })
	<-ctx.Done()
	logger.Info("Stopping: no reconciliation is begun any more")
	c.queue.ShutDown()
	c.rollouts.queue.ShutDown()
	workers.Wait()
	return nil
}

// work reconciles store after store until the queue is shut down.
func (c *Controller) work(ctx context.Context) {
	for {
		key, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		// What was queued before the shutdown is left for the next process.
		if !c.queue.ShuttingDown() {
			c.workOn(ctx, key)
		}
		c.queue.Done(key)
	}
}

func (c *Controller) workOn(ctx context.Context, key cache.ObjectName) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	again, err := c.reconcile(ctx, key)
	if err != nil {
		delay := wait.Jitter(c.backoff.When(key), 0.25)
		klog.FromContext(ctx).Error(err, "Reconciling a store", "store", key, "again", delay)
		c.queue.AddAfter(key, delay)
		return
	}
	c.backoff.Forget(key)
	if again > 0 {
		c.queue.AddAfter(key, wait.Jitter(again, 0.1))
	}
}

// shardMoved begins to work on the stores of a shard that has come, and forgets
// those of one that goes.
func (c *Controller) shardMoved(shard int, mine bool) {
	c.rolloutsMoved(shard, mine)
	if mine {
		for _, obj := range c.storeIndex.List() {
			if store := obj.(*v1alpha1.Store); c.shares.Of(store.UID) == shard {
				c.queue.Add(keyOf(store))
			}
		}
		return
	}
	c.mu.Lock()
	var gone []cache.ObjectName
	for key, m := range c.memories {
		if c.shares.Of(m.uid) == shard {
			gone = append(gone, key)
		}
	}
	c.mu.Unlock()
	for _, key := range gone {
		c.forget(key)
	}
}

func (c *Controller) timestamp() metav1.Time { return metav1.NewTime(c.now()).Rfc3339Copy() }

// remember returns what is known of the store. The memory is used by the one
// worker that has the key.
func (c *Controller) remember(key cache.ObjectName, uid types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memories[key]
	if m == nil || m.uid != uid {
		m = &memory{uid: uid}
		c.memories[key] = m
	}
	return m
}

// forget drops everything kept for a store that is no more.
func (c *Controller) forget(key cache.ObjectName) {
	c.mu.Lock()
	m := c.memories[key]
	delete(c.memories, key)
	c.mu.Unlock()
	if m != nil {
		c.probes.forget(m.uid)
		c.watches.stop(m.namespace)
	}
}
