package provisioner

import "time"

// rested is what there was before a reconciliation that found all to be done. Until
// some of it changes nothing is read again but the storefront: a shop that sells costs
// the API server its watches and no more.
type rested struct {
	generation int64  // of the store
	engine     string // the engine's resourceVersion
	change     int64  // the last in the store's namespace
	at         time.Time
}

// stateOf is what there is now.
func (c *Controller) stateOf(a *attempt) rested {
	return rested{a.store.Generation, a.engine.ResourceVersion, c.watches.lastOfAll(a.namespace), c.now()}
}

// covers is true if now is as it was. It is believed for as long as all else is that
// nobody watches.
func (r rested) covers(now rested) bool {
	age := now.at.Sub(r.at)
	r.at = now.at
	return r == now && r.change != 0 && age < reapplyAfter
}
