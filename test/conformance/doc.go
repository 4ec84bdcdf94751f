// Package conformance checks a resource of an aggregated API server against the
// conventions of the Kubernetes API that clients rely on, through a kube-apiserver.
//
// It runs on any server: a file describes the resource, flags lead to the server. See
// docs/development/conformance.md.
package conformance
