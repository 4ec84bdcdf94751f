package provisioner

import (
	"fmt"
	"time"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

const (
	// probeFresh is how long a good answer of the storefront is believed while
	// things change around it; probeStale is how long at most.
	probeFresh = 5 * time.Second
	probeStale = 60 * time.Second
)

// storefrontReady is done when the storefront has answered every check of the
// engine as a shop that sells does, after all earlier steps were done.
func (c *Controller) storefrontReady(a *attempt) result {
	if a.store.Spec.PowerState == v1alpha1.PowerStateHibernated {
		c.probes.forget(a.store.UID)
		return result{reason: "Hibernated", message: "The shop is hibernated: it keeps its data and runs no pods.", idle: true}
	}
	least := probeFresh
	answer, news := c.probes.last(a.store.UID)
	if answer != nil && answer.err != nil {
		least = pollInterval(a.since(v1alpha1.ConditionStorefrontReady, c.now()), time.Second, 15*time.Second)
	}
	// An answer that has waited for a worker is not asked for again at once: on it
	// would go for as long as many stores wait.
	if !news && (answer == nil || c.now().Sub(answer.at) >= least) {
		c.probes.start(keyOf(a.store), a.store.UID, c.storefrontTarget(a))
	}
	switch {
	case answer != nil && answer.err != nil:
		return waiting("StorefrontNotAnswering", answer.err.Error(), least)
	case answer == nil && !a.isTrue(v1alpha1.ConditionStorefrontReady):
		return waiting("Checking", "The storefront is being asked.", 0)
	}
	// A shop that sold goes on doing so until an answer says otherwise: a process
	// that has just started knows of none.
	return result{
		outcome: outcomeDone, reason: "Selling", again: probeStale,
		message: fmt.Sprintf("The storefront answers all %d checks.", len(a.engine.Spec.Storefront.Checks)),
	}
}

func (c *Controller) storefrontTarget(a *attempt) target {
	front := a.engine.Spec.Storefront
	return target{
		base:   c.storefrontURL(a.namespace, front.Service, front.Port),
		host:   a.store.Spec.Host,
		public: c.platform.HostPort(a.store),
		scheme: c.platform.Scheme,
		checks: front.Checks,
	}
}
