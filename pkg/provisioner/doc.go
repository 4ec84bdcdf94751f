// Package provisioner turns Stores into running shops.
//
// It is a level-based controller: each reconciliation looks at one Store and at
// what the cluster holds for it, does the next thing that is missing, writes
// down what it saw, and ends. It never waits for a workload; watches wake it.
// Killed at any point and started again it goes on where it was, because
// everything it decides from is in the cluster.
//
// The way to a ready store is a list of steps (steps.go), each in a file of its
// own, each named by a condition. The first step that is not done ends the
// reconciliation. Deletion is in delete.go. What a step found becomes
// conditions, steps and events in status.go.
//
// Stores wait for a worker in lanes by the kind of work, and in each the owners take
// turns (queue.go); who waits for long is told so (queued.go).
//
// What changes in a store's namespace wakes it (watch.go, stream.go, news.go), and what
// has not changed is not read again (rest.go). The controller may watch what can hold
// no secret in all of the cluster, and does so once for all stores. Any other right in
// a store's namespace comes from the RoleBinding that it makes there first, so all else
// it watches per namespace.
package provisioner
