package stores

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Why a store was refused, besides the kinds of quota.Describe.
const (
	reasonHost = "host"
	reasonRate = "rate"
)

var (
	quotaDenied = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "stores_quota_denied_total",
		Help:           "Writes of stores refused because something is used up, by what: places of the owner or of the namespace, or the host.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"reason"})
	rateLimited = metrics.NewCounter(&metrics.CounterOpts{
		Name:           "stores_rate_limited_total",
		Help:           "Creations of stores refused because too many came before them.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(quotaDenied, rateLimited) }
