package dashboard

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	requests = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "stores_dashboard_requests_total",
		Help:           "Answered requests by class of path, method and code.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"class", "method", "code"})
	durations = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name:           "stores_dashboard_request_duration_seconds",
		Help:           "Time to the end of the answer by class of path, without watches and followed logs.",
		Buckets:        []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		StabilityLevel: metrics.ALPHA,
	}, []string{"class"})
	streaming = metrics.NewGauge(&metrics.GaugeOpts{
		Name:           "stores_dashboard_streams",
		Help:           "Watches and followed logs under way.",
		StabilityLevel: metrics.ALPHA,
	})
)

var register = sync.OnceFunc(func() { legacyregistry.MustRegister(requests, durations, streaming) })

// observe counts a request; the result is called at its end.
func observe(class string, r *http.Request, w *patientWriter) func() {
	register()
	stream := streams(r)
	if stream {
		streaming.Inc()
	}
	start := time.Now()
	return func() {
		requests.WithLabelValues(class, method(r), strconv.Itoa(w.code)).Inc()
		if stream {
			streaming.Dec()
			return
		}
		durations.WithLabelValues(class).Observe(time.Since(start).Seconds())
	}
}

// streams is true for requests that go on until somebody ends them.
func streams(r *http.Request) bool {
	query := r.URL.Query()
	return isTrue(query.Get("watch")) || isTrue(query.Get("follow"))
}

func isTrue(value string) bool { return value == "true" || value == "1" }

// method bounds what clients can make of the label.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return r.Method
	}
	return "other"
}
