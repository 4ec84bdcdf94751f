// Package policy enforces NetworkPolicies with packet filter rules: what a policy
// does not allow is dropped. Connections that exist stay; what the node itself
// sends to a pod, such as the kubelet's probes, always passes. Policies see where
// a packet really goes: behind a Service, the pod and its port.
package policy

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"platform.dev/stores/hack/localcluster/internal/network"
)

const (
	// table is one that packets pass before the table filter, where kube-proxy
	// lets some through, and after they were sent on from a Service to a pod.
	table = "mangle"
	// retry is the time between attempts while the rules cannot be written.
	retry = time.Second
)

// Enforcer keeps the packet filter as the policies want it.
type Enforcer struct {
	policies   networkinglisters.NetworkPolicyLister
	namespaces corelisters.NamespaceLister
	pods       corelisters.PodLister
	synced     []cache.InformerSynced

	// changed holds a token when something may have to be written.
	changed chan struct{}
	// written is what the packet filter enforces, once this process knows it.
	written []isolation
	known   bool
	// replace writes chains to the packet filter.
	replace func([]network.Chain) error
}

// New returns an enforcer over the factory's informers, which the caller starts.
func New(factory informers.SharedInformerFactory) (*Enforcer, error) {
	policies, namespaces, pods := factory.Networking().V1().NetworkPolicies(), factory.Core().V1().Namespaces(), factory.Core().V1().Pods()
	e := &Enforcer{
		policies: policies.Lister(), namespaces: namespaces.Lister(), pods: pods.Lister(),
		changed: make(chan struct{}, 1),
		replace: func(chains []network.Chain) error { return network.ReplaceChains(table, chains) },
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { e.touch() },
		UpdateFunc: func(any, any) { e.touch() },
		DeleteFunc: func(any) { e.touch() },
	}
	for _, informer := range []cache.SharedIndexInformer{policies.Informer(), namespaces.Informer(), pods.Informer()} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("watching: %w", err)
		}
		e.synced = append(e.synced, registration.HasSynced)
	}
	return e, nil
}

// Run works until ctx ends. The rules stay: a policy holds while nobody watches.
func (e *Enforcer) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), e.synced...) {
		return errors.New("policies: informers did not sync")
	}
	for {
		if err := e.enforce(); err != nil {
			klog.FromContext(ctx).Error(err, "Enforcing NetworkPolicies failed, trying again")
			time.AfterFunc(retry, e.touch)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.changed:
		}
	}
}

// touch asks for the rules to be brought up to date; many changes become one.
func (e *Enforcer) touch() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// enforce writes the rules if they have changed.
func (e *Enforcer) enforce() error {
	policies, policiesErr := e.policies.List(labels.Everything())
	namespaces, namespacesErr := e.namespaces.List(labels.Everything())
	pods, podsErr := e.pods.List(labels.Everything())
	if err := errors.Join(policiesErr, namespacesErr, podsErr); err != nil {
		return err
	}
	want, err := compile(policies, namespaces, pods)
	if err != nil {
		return err
	}
	if e.known && reflect.DeepEqual(want, e.written) {
		return nil
	}
	if err := e.replace(chains(want)); err != nil {
		return err
	}
	e.written, e.known = want, true
	return nil
}
