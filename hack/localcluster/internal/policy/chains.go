package policy

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"platform.dev/stores/hack/localcluster/internal/network"
)

// dispatch sends the packets of isolated pods to the chains of these pods, one
// for each direction. All names begin with it.
const dispatch = "LOCALCLUSTER-PODS"

// chains are the rules that enforce isolations. A chain of a pod ends with DROP;
// to RETURN from it is to be allowed, in that direction. So a packet passes when
// both its sender may send it and its receiver may receive it.
func chains(isolations []isolation) []network.Chain {
	first := network.Chain{Name: dispatch, Rules: []string{"-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"}}
	result := make([]network.Chain, 1, 1+len(isolations))
	for _, i := range isolations {
		// The address in hexadecimal: names are 28 characters long at most.
		bytes := i.pod.As4()
		name, self, peer := fmt.Sprintf("%s-%x", dispatch, bytes), "-d", "-s"
		if i.direction == networkingv1.PolicyTypeEgress {
			name, self, peer = name+"E", "-s", "-d"
		} else {
			name += "I"
		}
		chain := network.Chain{Name: name}
		// A pod may always talk to itself, through a Service too.
		first.Rules = append(first.Rules, fmt.Sprintf("%s %s ! %s %s -j %s", self, i.pod, peer, i.pod, name))
		for _, allowed := range i.allowed {
			chain.Rules = append(chain.Rules, match(allowed, peer)+"-j RETURN")
		}
		chain.Rules = append(chain.Rules, "-j DROP")
		result = append(result, chain)
	}
	result[0] = first
	return result
}

// match is the condition of a rule, peer being the option for its address.
func match(r rule, peer string) string {
	var condition strings.Builder
	if r.peer.IsValid() && r.peer.Bits() > 0 {
		fmt.Fprintf(&condition, "%s %s ", peer, r.peer)
	}
	if r.protocol != "" {
		fmt.Fprintf(&condition, "-p %s ", strings.ToLower(string(r.protocol)))
	}
	if r.first != 0 {
		fmt.Fprintf(&condition, "--dport %d:%d ", r.first, r.last)
	}
	return condition.String()
}
