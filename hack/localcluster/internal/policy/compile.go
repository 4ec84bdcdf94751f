package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// isolation is what is left to a pod in one direction once a policy selects it.
type isolation struct {
	pod       netip.Addr
	direction networkingv1.PolicyType
	allowed   []rule
}

// rule allows packets. What it leaves empty it does not restrict.
type rule struct {
	peer        netip.Prefix
	protocol    corev1.Protocol
	first, last int32
}

// compile works out which pods are isolated, and what each of them may still
// exchange with others. Pods that share the node's address are neither isolated
// nor known to selectors, as in other implementations.
func compile(policies []*networkingv1.NetworkPolicy, namespaces []*corev1.Namespace, pods []*corev1.Pod) ([]isolation, error) {
	w := newWorld(namespaces, pods)
	found := map[netip.Addr]map[networkingv1.PolicyType][]rule{}
	for _, policy := range policies {
		selected, err := w.selected(policy)
		if err != nil {
			return nil, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		for _, pod := range selected {
			if found[pod.address] == nil {
				found[pod.address] = map[networkingv1.PolicyType][]rule{}
			}
			for _, direction := range policy.Spec.PolicyTypes {
				rules, err := w.rules(policy, pod, direction)
				if err != nil {
					return nil, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
				}
				found[pod.address][direction] = append(found[pod.address][direction], rules...)
			}
		}
	}
	var isolations []isolation
	for address, directions := range found {
		for direction, rules := range directions {
			slices.SortFunc(rules, compareRules)
			isolations = append(isolations, isolation{address, direction, slices.Compact(rules)})
		}
	}
	slices.SortFunc(isolations, func(a, b isolation) int {
		return cmp.Or(a.pod.Compare(b.pod), cmp.Compare(a.direction, b.direction))
	})
	return isolations, nil
}

func compareRules(a, b rule) int {
	return cmp.Or(a.peer.Addr().Compare(b.peer.Addr()), cmp.Compare(a.peer.Bits(), b.peer.Bits()),
		cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
}

// world is what selectors choose from.
type world struct {
	namespaces map[string]labels.Set
	pods       []addressed
}

// addressed is a pod with an address of its own.
type addressed struct {
	*corev1.Pod
	address netip.Addr
}

func newWorld(namespaces []*corev1.Namespace, pods []*corev1.Pod) world {
	w := world{namespaces: map[string]labels.Set{}}
	for _, namespace := range namespaces {
		w.namespaces[namespace.Name] = namespace.Labels
	}
	for _, pod := range pods {
		address, err := netip.ParseAddr(pod.Status.PodIP)
		// The address of a pod that has ended may be another one's already.
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if err == nil && address.Is4() && !ended && !pod.Spec.HostNetwork {
			w.pods = append(w.pods, addressed{pod, address})
		}
	}
	return w
}

// selected are the pods that a policy isolates.
func (w world) selected(policy *networkingv1.NetworkPolicy) ([]addressed, error) {
	return w.find(policy.Namespace, networkingv1.NetworkPolicyPeer{PodSelector: &policy.Spec.PodSelector})
}

// find returns the pods that the selectors of a peer mean, seen from a namespace.
func (w world) find(namespace string, peer networkingv1.NetworkPolicyPeer) ([]addressed, error) {
	inNamespace, err := metav1.LabelSelectorAsSelector(peer.NamespaceSelector)
	if err != nil {
		return nil, err
	}
	matches, err := metav1.LabelSelectorAsSelector(cmp.Or(peer.PodSelector, &metav1.LabelSelector{}))
	if err != nil {
		return nil, err
	}
	var found []addressed
	for _, pod := range w.pods {
		near := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			near = inNamespace.Matches(w.namespaces[pod.Namespace])
		}
		if near && matches.Matches(labels.Set(pod.Labels)) {
			found = append(found, pod)
		}
	}
	return found, nil
}

// rules is what a policy allows a pod in one direction.
func (w world) rules(policy *networkingv1.NetworkPolicy, pod addressed, direction networkingv1.PolicyType) ([]rule, error) {
	var rules []rule
	if direction == networkingv1.PolicyTypeIngress {
		for _, ingress := range policy.Spec.Ingress {
			peers, err := w.peers(policy.Namespace, ingress.From)
			if err != nil {
				return nil, err
			}
			for _, peer := range peers {
				rules = append(rules, portRules(peer, ingress.Ports, []addressed{pod}, false)...)
			}
		}
		return rules, nil
	}
	for _, egress := range policy.Spec.Egress {
		peers, err := w.peers(policy.Namespace, egress.To)
		if err != nil {
			return nil, err
		}
		for _, peer := range peers {
			rules = append(rules, portRules(peer, egress.Ports, w.pods, true)...)
		}
	}
	return rules, nil
}

// peers are the addresses that a rule names: one without bits, which is every
// address, when it names none.
func (w world) peers(namespace string, peers []networkingv1.NetworkPolicyPeer) ([]netip.Prefix, error) {
	if len(peers) == 0 {
		return []netip.Prefix{{}}, nil
	}
	var prefixes []netip.Prefix
	for _, peer := range peers {
		if peer.IPBlock != nil {
			block, err := blockOf(peer.IPBlock)
			if err != nil {
				return nil, err
			}
			prefixes = append(prefixes, block...)
			continue
		}
		pods, err := w.find(namespace, peer)
		if err != nil {
			return nil, err
		}
		for _, pod := range pods {
			prefixes = append(prefixes, netip.PrefixFrom(pod.address, 32))
		}
	}
	return prefixes, nil
}

// portRules allow a peer the ports, or everything when there are none. A named
// port is the one that the receiver calls so: each of the receivers at the peer's
// address when atPeer, else the only one.
func portRules(peer netip.Prefix, ports []networkingv1.NetworkPolicyPort, receivers []addressed, atPeer bool) []rule {
	if len(ports) == 0 {
		return []rule{{peer: peer}}
	}
	var rules []rule
	for _, port := range ports {
		allowed := rule{peer: peer, protocol: ptr.Deref(port.Protocol, corev1.ProtocolTCP)}
		switch {
		case port.Port == nil:
			rules = append(rules, allowed)
		case port.Port.Type == intstr.Int:
			allowed.first, allowed.last = port.Port.IntVal, ptr.Deref(port.EndPort, port.Port.IntVal)
			rules = append(rules, allowed)
		default:
			for _, receiver := range receivers {
				number, named := portNamed(receiver, port.Port.StrVal, allowed.protocol)
				if !named || (atPeer && peer.IsValid() && !peer.Contains(receiver.address)) {
					continue
				}
				narrow := allowed
				narrow.first, narrow.last = number, number
				if atPeer {
					narrow.peer = netip.PrefixFrom(receiver.address, 32)
				}
				rules = append(rules, narrow)
			}
		}
	}
	return rules
}

func portNamed(pod addressed, name string, protocol corev1.Protocol) (int32, bool) {
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, port := range container.Ports {
			if port.Name == name && cmp.Or(port.Protocol, corev1.ProtocolTCP) == protocol {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}
