// Package harness runs the platform's API server for tests as a cluster runs
// it: as a process of its own behind a real kube-apiserver, with the arguments,
// the RBAC rules and the APIService that the platform chart renders, and with
// objects in a real PostgreSQL.
//
// Everything listens on the loopback address or on Unix sockets, and ends with
// the test binary. The logs of all programs are in
// _output/integration, by package.
package harness
