package provisioner

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-base/metrics"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

const (
	resultSuccess = "success"
	resultFailure = "failure"
)

// instruments are the metrics of what the controller does. What stores are is
// told by inventory.
type instruments struct {
	provision     *metrics.HistogramVec
	step          *metrics.HistogramVec
	failures      *metrics.CounterVec
	inflight      *metrics.Gauge
	actions       *metrics.CounterVec
	actionSeconds *metrics.HistogramVec
	unlocked      *metrics.Counter
	corrections   *metrics.Counter
}

func newInstruments() *instruments {
	// From a golden database to a store that waits for a node.
	stages := []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200}
	i := &instruments{
		provision: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Name: "stores_provision_duration_seconds", Buckets: stages, StabilityLevel: metrics.ALPHA,
			Help: "Time from the creation of a store until it was ready for the first time, or until it was first given up hope of becoming so without help.",
		}, []string{"engine", "start", "result"}),
		step: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Name: "stores_provision_step_duration_seconds", Buckets: stages, StabilityLevel: metrics.ALPHA,
			Help: "Time from the beginning of a step until it was done, or had failed for good.",
		}, []string{"engine", "step", "result"}),
		failures: metrics.NewCounterVec(&metrics.CounterOpts{
			Name: "stores_provision_failures_total", StabilityLevel: metrics.ALPHA,
			Help: "How often a step was found to be failing for another reason than before.",
		}, []string{"engine", "step", "reason"}),
		inflight: metrics.NewGauge(&metrics.GaugeOpts{
			Name: "stores_provision_inflight", StabilityLevel: metrics.ALPHA,
			Help: "Stores that are being worked on at this moment.",
		}),
		actions: metrics.NewCounterVec(&metrics.CounterOpts{
			Name: "stores_helm_actions_total", StabilityLevel: metrics.ALPHA,
			Help: "Helm actions that have ended.",
		}, []string{"action", "result"}),
		actionSeconds: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Name: "stores_helm_action_duration_seconds", StabilityLevel: metrics.ALPHA,
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120},
			Help:    "Time that Helm actions took.",
		}, []string{"action"}),
		unlocked: metrics.NewCounter(&metrics.CounterOpts{
			Name: "stores_helm_releases_unlocked_total", StabilityLevel: metrics.ALPHA,
			Help: "Releases whose last action had been cut off, and that were made usable again.",
		}),
		corrections: metrics.NewCounter(&metrics.CounterOpts{
			Name: "stores_drift_corrections_total", StabilityLevel: metrics.ALPHA,
			Help: "How often something of a store was made again because it was gone or changed.",
		}),
	}
	return i
}

// Registerables are the controller's metrics but for those of Collector.
func (c *Controller) Registerables() []metrics.Registerable {
	i := c.instruments
	return []metrics.Registerable{i.provision, i.step, i.failures, i.inflight, i.actions, i.actionSeconds, i.unlocked, i.corrections}
}

// Collector tells of the stores in this replica's share, from the cache at the
// moment it is asked: the replicas' answers add up to the list of all stores.
func (c *Controller) Collector() metrics.StableCollector { return &inventory{controller: c} }

// reasonOther stands in metrics for every reason that is not one of ours or of the
// few that Kubernetes gives to what stores are made of.
const reasonOther = "Other"

// failureReasons are the reasons that metrics tell apart. What clusters' events and
// containers report is without bounds, and each reason would be a series.
var failureReasons = sets.New(append([]string{
	"BackupFailed", "CredentialsLost", "ChartUnavailable", "ContainerFailed", "EngineNotFound", "Error", "Forbidden", "Hibernated", "InvalidEngine", "InvalidValues",
	"JobFailed", "NamespaceConflict", "NamespaceTerminating", "PlanNotOffered", "PodFailed", "ReleaseConflict", "ReleaseFailed", "RevisionLost", "RollbackFailed",
	"UpgradeFailed", v1alpha1.ReasonVersionNotOffered, reasonDrifted,
	// Of workloads and pods.
	"FailedAttachVolume", "FailedCreate", "FailedCreatePodSandBox", "FailedMount", "FailedScheduling", corev1.PodReasonUnschedulable,
}, brokenContainer...)...)

// failure counts a step that fails for another reason than before.
func (i *instruments) failure(engine, step, reason string) {
	if !failureReasons.Has(reason) {
		reason = reasonOther
	}
	i.failures.WithLabelValues(engine, step, reason).Inc()
}

// helmAction counts an action that began at start.
func (i *instruments) helmAction(action string, took time.Duration, err error) {
	result := resultSuccess
	if err != nil {
		result = resultFailure
	}
	i.actions.WithLabelValues(action, result).Inc()
	i.actionSeconds.WithLabelValues(action).Observe(took.Seconds())
}

// provisioned observes a store that was never ready before.
func (i *instruments) provisioned(s *v1alpha1.Store, now time.Time, result string) {
	// Every store is made from nothing; there are no warm ones to take.
	i.provision.WithLabelValues(s.Spec.Engine, "cold", result).Observe(now.Sub(s.CreationTimestamp.Time).Seconds())
}

// inventory is the metrics of what stores are.
type inventory struct {
	metrics.BaseStableCollector
	controller *Controller
}

var (
	infoDesc = metrics.NewDesc("stores_store_info",
		"A store, by what it is made of.",
		[]string{"namespace", "name", "engine", "plan", "chart_version"}, nil, metrics.ALPHA, "")
	conditionDesc = metrics.NewDesc("stores_store_condition",
		"A condition of a store, with the status it has.",
		[]string{"namespace", "name", "type", "status"}, nil, metrics.ALPHA, "")
	driftedDesc = metrics.NewDesc("stores_drifted",
		"Stores that are not as their release made them.", nil, nil, metrics.ALPHA, "")
	deletionDesc = metrics.NewDesc("stores_deletion_oldest_seconds",
		"Age of the oldest deletion that has not come to its end, or 0.", nil, nil, metrics.ALPHA, "")
	queueAgeDesc = metrics.NewDesc("stores_provision_queue_age_seconds",
		"How long the store that has waited longest for a worker has waited, by the kind of work.", []string{"queue"}, nil, metrics.ALPHA, "")
	queueLengthDesc = metrics.NewDesc("stores_provision_queue_length",
		"Stores that wait for a worker, by the kind of work.", []string{"queue"}, nil, metrics.ALPHA, "")
)

// DescribeWithStability implements metrics.StableCollector.
func (*inventory) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{infoDesc, conditionDesc, driftedDesc, deletionDesc, queueAgeDesc, queueLengthDesc, rolloutStoresDesc, rolloutPhaseDesc} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (i *inventory) CollectWithStability(ch chan<- metrics.Metric) {
	c := i.controller
	gauge := func(desc *metrics.Desc, value float64, labels ...string) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, labels...)
	}
	now := c.now()
	drifted, oldest := 0, time.Duration(0)
	for _, obj := range c.storeIndex.List() {
		store := obj.(*v1alpha1.Store)
		if !c.shares.Mine(store.UID) {
			continue
		}
		chartVersion := ""
		if store.Status.Release != nil {
			chartVersion = store.Status.Release.ChartVersion
		}
		gauge(infoDesc, 1, store.Namespace, store.Name, store.Spec.Engine, store.Spec.Plan, chartVersion)
		for _, condition := range store.Status.Conditions {
			gauge(conditionDesc, 1, store.Namespace, store.Name, condition.Type, string(condition.Status))
			if condition.Type != v1alpha1.ConditionReady && condition.Type != v1alpha1.ConditionReconciling && condition.Reason == reasonDrifted {
				drifted++
			}
		}
		if store.DeletionTimestamp != nil {
			oldest = max(oldest, now.Sub(store.DeletionTimestamp.Time))
		}
	}
	c.collectRollouts(gauge)
	gauge(driftedDesc, float64(drifted))
	gauge(deletionDesc, oldest.Seconds())
	for l := range laneCount {
		waiting := c.waiting.inLane(l)
		longest := time.Duration(0)
		for _, s := range waiting {
			longest = max(longest, now.Sub(s.since))
		}
		gauge(queueAgeDesc, longest.Seconds(), l.String())
		gauge(queueLengthDesc, float64(len(waiting)), l.String())
	}
}
