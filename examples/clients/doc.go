// Package clients shows how Go programs work with stores: what a program of another
// repository would write, with a module of its own. docs/clients.md says when to use
// what.
//
// A clientset comes from a kubeconfig, or in a pod from its ServiceAccount:
//
//	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
//		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
//	client, err := versioned.NewForConfig(config)
package clients
