// Storage measures pkg/storage/postgres against what else a Kubernetes API server can
// keep its objects in: etcd, and kine over the same PostgreSQL server.
//
// All are used through storage.Interface, with the same objects, from this
// process: etcd and kine by the API server library's own client. Every contender gets
// fresh data and a turn at each workload before the next workload begins, and figures
// are only compared within one such round, so that a machine with other work to do
// slows all of them alike. Reported are medians of the rounds.
package main
