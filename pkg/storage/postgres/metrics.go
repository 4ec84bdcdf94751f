package postgres

import (
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	operationDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name:           "stores_storage_operation_duration_seconds",
		Help:           "How long operations on the storage took, below the watch cache, whatever their outcome.",
		Buckets:        metrics.ExponentialBuckets(0.00025, 2, 16), // to 8 seconds
		StabilityLevel: metrics.ALPHA,
	}, []string{"op"})
	retentionDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name:           "stores_storage_retention_duration_seconds",
		Help:           "How long it took to take from the log what retention does not keep.",
		Buckets:        metrics.ExponentialBuckets(0.1, 3, 10), // to half an hour
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})
)

func init() { legacyregistry.MustRegister(operationDuration, retentionDuration) }

// observe notes how long an operation took that began at start. Defer it.
func observe(op string, start time.Time) {
	operationDuration.WithLabelValues(op).Observe(time.Since(start).Seconds())
}

func observeCut(start time.Time, err error) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	retentionDuration.WithLabelValues(result).Observe(time.Since(start).Seconds())
}

func desc(name, help string) *metrics.Desc {
	return metrics.NewDesc(name, help, nil, nil, metrics.ALPHA, "")
}

var (
	watchersDesc      = desc("stores_storage_watchers", "Watches open on the storage, below the watch cache.")
	lagDesc           = desc("stores_storage_watch_lag_seconds", "How long ago this process last had every change that there was. Watches may lack what is younger.")
	inUseDesc         = desc("stores_storage_pool_in_use", "Connections of the pool that are in use.")
	idleDesc          = desc("stores_storage_pool_idle", "Connections of the pool that are open and wait for use.")
	maxDesc           = desc("stores_storage_pool_max", "The most connections that the pool may have.")
	waitsDesc         = desc("stores_storage_pool_waits_total", "How often somebody had to wait for a connection of the pool.")
	waitSecondsDesc   = desc("stores_storage_pool_wait_seconds_total", "How long all of them waited for a connection of the pool.")
	revisionDesc      = desc("stores_storage_revision", "The latest revision that this process has seen.")
	compactDesc       = desc("stores_storage_compaction_revision", "The revision below which lists and watches are no longer served.")
	keptDesc          = desc("stores_storage_retention_kept_revision", "The revision from which on every one is kept in the log, or 0 in the first minute.")
	decodedBytesDesc  = desc("stores_storage_decoded_bytes", "What the objects kept decoded for lists take as stored.")
	decodedHitsDesc   = desc("stores_storage_decoded_hits_total", "Objects of lists that were found decoded in memory.")
	decodedMissesDesc = desc("stores_storage_decoded_misses_total", "Objects of lists that had to be decoded, but for encrypted resources.")
	logBytesDesc      = desc("stores_storage_log_bytes", "What the log takes on the database's disk with its indexes, or 0 in the first minute.")
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
	for _, desc := range []*metrics.Desc{
		watchersDesc, lagDesc, inUseDesc, idleDesc, maxDesc, waitsDesc, waitSecondsDesc, revisionDesc, compactDesc, keptDesc, logBytesDesc,
		decodedBytesDesc, decodedHitsDesc, decodedMissesDesc,
	} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	d := c.database
	send := func(desc *metrics.Desc, value float64) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value)
	}
	count := func(desc *metrics.Desc, value float64) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.CounterValue, value)
	}
	pool, at := d.pool.Stat(), d.hub.position()
	send(watchersDesc, float64(d.watchers.Load()))
	send(lagDesc, time.Since(*d.caughtUp.Load()).Seconds())
	send(inUseDesc, float64(pool.AcquiredConns()))
	send(idleDesc, float64(pool.IdleConns()))
	send(maxDesc, float64(pool.MaxConns()))
	count(waitsDesc, float64(pool.EmptyAcquireCount()))
	count(waitSecondsDesc, pool.EmptyAcquireWaitTime().Seconds())
	send(revisionDesc, float64(at.rev))
	send(compactDesc, float64(at.compact))
	send(keptDesc, float64(d.cutAt.Load()))
	send(logBytesDesc, float64(d.logBytes.Load()))
	send(decodedBytesDesc, float64(d.memory.size()))
	count(decodedHitsDesc, float64(d.memory.hits.Load()))
	count(decodedMissesDesc, float64(d.memory.misses.Load()))
}
