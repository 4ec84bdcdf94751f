package shards

import "k8s.io/component-base/metrics"

var heldDesc = metrics.NewDesc("stores_provision_shards_held",
	"Shards that this replica holds. The replicas' answers add up to all shards.", nil, nil, metrics.ALPHA, "")

// Collector tells how many shards this replica holds.
func (s *Shards) Collector() metrics.StableCollector { return &collector{shards: s} }

type collector struct {
	metrics.BaseStableCollector
	shards *Shards
}

// DescribeWithStability implements metrics.StableCollector.
func (*collector) DescribeWithStability(ch chan<- *metrics.Desc) { ch <- heldDesc }

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	ch <- metrics.NewLazyConstMetric(heldDesc, metrics.GaugeValue, float64(c.shards.Held()))
}
