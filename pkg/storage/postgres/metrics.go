package postgres

import (
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// How the name of every metric begins.
const (
	metricsNamespace = "stores"
	metricsSubsystem = "storage"
)

var operationDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
	Namespace:      metricsNamespace,
	Subsystem:      metricsSubsystem,
	Name:           "operation_duration_seconds",
	Help:           "How long operations on the storage took, below the watch cache, whatever their outcome.",
	Buckets:        metrics.ExponentialBuckets(0.00025, 2, 16), // to 8 seconds
	StabilityLevel: metrics.ALPHA,
}, []string{"op"})

func init() { legacyregistry.MustRegister(operationDuration) }

// observe notes how long an operation took that began at start. Defer it.
func observe(op string, start time.Time) {
	operationDuration.WithLabelValues(op).Observe(time.Since(start).Seconds())
}

func gauge(name, help string) *metrics.Desc {
	return metrics.NewDesc(metrics.BuildFQName(metricsNamespace, metricsSubsystem, name), help, nil, nil, metrics.ALPHA, "")
}

var (
	watchersDesc = gauge("watchers", "Watches open on the storage, below the watch cache.")
	inUseDesc    = gauge("pool_in_use", "Connections of the pool that are in use.")
	maxDesc      = gauge("pool_max", "The most connections that the pool may have.")
	revisionDesc = gauge("revision", "The latest revision that this process has seen.")
)

// collector reads the state of a Database when it is asked.
type collector struct {
	metrics.BaseStableCollector
	database *Database
}

// Collector returns the metrics of d to be registered, once per registry.
func (d *Database) Collector() metrics.StableCollector { return &collector{database: d} }

// DescribeWithStability implements metrics.StableCollector.
func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{watchersDesc, inUseDesc, maxDesc, revisionDesc} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	send := func(desc *metrics.Desc, value int64) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, float64(value))
	}
	pool := c.database.pool.Stat()
	send(watchersDesc, c.database.watchers.Load())
	send(inUseDesc, int64(pool.AcquiredConns()))
	send(maxDesc, int64(pool.MaxConns()))
	send(revisionDesc, c.database.hub.position().rev)
}
