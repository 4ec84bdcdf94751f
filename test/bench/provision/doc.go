// Provision measures the provisioner by the method of Flux's benchmark of its
// helm-controller: many releases at once of a chart whose Deployment has no replicas,
// so that nothing is measured but the controller and the control plane.
//
// Each size gets a control plane of its own, of real programs without a node: etcd,
// kube-apiserver and kube-controller-manager, our API server with PostgreSQL, and the
// provisioner with the arguments and the rights that the platform's chart gives it.
// Storefronts are checked at a server of the benchmark's, which stands for all shops.
//
// Flux's helm-controller installs as many releases in the same way in its turn. On a
// simulated node, the chart's Deployment has a pod.
//
// A store costs more than a release: it also gets a namespace, rights, a quota, limits,
// a network policy and credentials, and its status and events tell how far it is.
package main
