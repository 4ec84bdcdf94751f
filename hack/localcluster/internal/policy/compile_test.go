package policy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Two shops, each with a database that only its own shop may reach, and a visitor
// in a namespace without policies.
func newCluster() (namespaces []*corev1.Namespace, pods []*corev1.Pod) {
	for _, name := range []string{"one", "two", "visitors"} {
		namespaces = append(namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}})
	}
	pod := func(namespace, app, address string, ports ...corev1.ContainerPort) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: ports}}},
			Status:     corev1.PodStatus{PodIP: address, Phase: corev1.PodRunning},
		}
	}
	ended := pod("one", "shop", "10.0.0.5")
	ended.Status.Phase = corev1.PodSucceeded
	onNode := pod("one", "shop", "10.0.0.1")
	onNode.Spec.HostNetwork = true
	waiting := pod("one", "shop", "")
	return namespaces, []*corev1.Pod{
		pod("one", "shop", "10.0.0.2", corev1.ContainerPort{Name: "http", ContainerPort: 8080}),
		pod("one", "db", "10.0.0.3", corev1.ContainerPort{Name: "sql", ContainerPort: 5432}, corev1.ContainerPort{Name: "sql", ContainerPort: 99, Protocol: corev1.ProtocolUDP}),
		pod("two", "shop", "10.0.0.4", corev1.ContainerPort{Name: "http", ContainerPort: 9090}),
		pod("visitors", "visitor", "10.0.0.5"),
		ended, onNode, waiting,
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	const all = "podSelector: {}\n"
	tests := []struct {
		name string
		// spec of a policy in namespace one.
		spec string
		// want of packets SENDER>RECEIVER:PORT, by protocol when not TCP, that pass.
		// All others of probes are dropped.
		want string
	}{
		{"nothing is allowed", all + "policyTypes: [Ingress, Egress]", "4>5:80 1>5:80"},
		{"only one direction is isolated", all + "policyTypes: [Egress]", "4>2:8080 4>3:5432 4>5:80 1>5:80"},
		{
			"everything is allowed", all + "policyTypes: [Ingress, Egress]\ningress: [{}]\negress: [{}]",
			"2>3:5432 2>3:99/UDP 3>2:8080 4>2:8080 4>3:5432 2>4:9090 2>5:80 2>1:6443 4>5:80 1>5:80",
		},
		{
			"pods of the namespace", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchLabels: {app: shop}}}]}]",
			"2>3:5432 2>3:99/UDP 3>2:8080 4>2:8080 2>4:9090 2>5:80 2>1:6443 4>5:80 1>5:80",
		},
		{
			"pods of another namespace", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress]\ningress: [{from: [{namespaceSelector: {matchLabels: {name: two}}, podSelector: {matchLabels: {app: shop}}}]}]",
			"4>3:5432 3>2:8080 4>2:8080 2>4:9090 2>5:80 2>1:6443 4>5:80 1>5:80",
		},
		{
			"a port by the receiver's name, its own", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress]\ningress: [{ports: [{port: sql}]}]",
			"2>3:5432 4>3:5432 3>2:8080 4>2:8080 2>4:9090 2>5:80 2>1:6443 4>5:80 1>5:80",
		},
		{
			"a port by the receiver's name, the peer's", all + "policyTypes: [Egress]\negress: [{to: [{namespaceSelector: {}}], ports: [{port: http}]}]",
			"2>4:9090 3>2:8080 4>2:8080 4>3:5432 4>5:80 1>5:80",
		},
		{
			"a named port within a block", all + "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 10.0.0.4/32}}], ports: [{port: http}]}]",
			"2>4:9090 4>2:8080 4>3:5432 4>5:80 1>5:80",
		},
		{
			"a range of ports", all + "policyTypes: [Egress]\negress: [{ports: [{port: 80, endPort: 8080}]}]",
			"2>3:5432 3>2:8080 2>5:80 2>1:6443 4>2:8080 4>3:5432 4>5:80 1>5:80",
		},
		{
			"a protocol", all + "policyTypes: [Egress]\negress: [{ports: [{protocol: UDP}]}]",
			"2>3:99/UDP 4>2:8080 4>3:5432 4>5:80 1>5:80",
		},
		{
			"a block with exceptions", all + "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 10.0.0.0/29, except: [10.0.0.3/32, 10.0.0.4/31]}}]}]",
			"3>2:8080 2>1:6443 4>2:8080 4>3:5432 4>5:80 1>5:80",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: "p"}}
			if err := yaml.UnmarshalStrict([]byte(test.spec), &policy.Spec); err != nil {
				t.Fatal(err)
			}
			namespaces, pods := newCluster()
			isolations, err := compile([]*networkingv1.NetworkPolicy{policy}, namespaces, pods)
			if err != nil {
				t.Fatal(err)
			}
			for _, probe := range strings.Fields("2>3:5432 2>3:99/UDP 3>2:8080 4>2:8080 4>3:5432 2>4:9090 2>5:80 2>1:6443 4>5:80 1>5:80") {
				got, want := passes(t, isolations, probe), strings.Contains(" "+test.want+" ", " "+probe+" ")
				if got != want {
					t.Errorf("%s passes: %t, want %t", probe, got, want)
				}
			}
		})
	}
}

// Each policy adds to what the others allow, and none takes from it.
func TestPoliciesAddUp(t *testing.T) {
	t.Parallel()
	deny := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "one"}, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}}}
	allow := deny.DeepCopy()
	allow.Spec.Ingress, allow.Spec.Egress = []networkingv1.NetworkPolicyIngressRule{{}}, []networkingv1.NetworkPolicyEgressRule{{}}
	namespaces, pods := newCluster()
	for _, order := range [][]*networkingv1.NetworkPolicy{{deny, allow}, {allow, deny, allow}} {
		isolations, err := compile(order, namespaces, pods)
		if err != nil {
			t.Fatal(err)
		}
		if !passes(t, isolations, "2>3:5432") {
			t.Errorf("what the second policy allows is dropped: %+v", isolations)
		}
	}
}

// passes plays the packet filter.
func passes(t *testing.T, isolations []isolation, probe string) bool {
	t.Helper()
	hosts, port, _ := strings.Cut(probe, ":")
	from, to, _ := strings.Cut(hosts, ">")
	port, protocol, _ := strings.Cut(port, "/")
	if protocol == "" {
		protocol = "TCP"
	}
	target, err := netip.ParseAddrPort("10.0.0." + to + ":" + port)
	if err != nil {
		t.Fatal(err)
	}
	sender := netip.MustParseAddr("10.0.0." + from)
	for _, i := range isolations {
		peer := sender
		switch {
		case i.direction == networkingv1.PolicyTypeIngress && i.pod == target.Addr():
		case i.direction == networkingv1.PolicyTypeEgress && i.pod == sender:
			peer = target.Addr()
		default:
			continue
		}
		allowed := false
		for _, r := range i.allowed {
			number := int32(target.Port())
			allowed = allowed || ((!r.peer.IsValid() || r.peer.Contains(peer)) &&
				(r.protocol == "" || string(r.protocol) == protocol) &&
				(r.first == 0 || (r.first <= number && number <= r.last)))
		}
		if !allowed {
			return false
		}
	}
	return true
}

func TestWithout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ prefix, except, want string }{
		{"10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8"},
		{"10.0.0.0/8", "0.0.0.0/0", ""},
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"10.0.0.0/30", "10.0.0.2/32", "10.0.0.0/31 10.0.0.3/32"},
		{"0.0.0.0/0", "128.0.0.0/2", "0.0.0.0/1 192.0.0.0/2"},
	} {
		var got []string
		for _, prefix := range without(netip.MustParsePrefix(test.prefix), netip.MustParsePrefix(test.except)) {
			got = append(got, prefix.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s without %s is %v, want %s", test.prefix, test.except, got, test.want)
		}
	}
}

func TestChains(t *testing.T) {
	t.Parallel()
	got := chains([]isolation{
		{pod: netip.MustParseAddr("10.0.0.2"), direction: networkingv1.PolicyTypeEgress},
		{netip.MustParseAddr("10.0.0.255"), networkingv1.PolicyTypeIngress, []rule{
			{},
			{peer: netip.MustParsePrefix("10.1.0.0/16"), protocol: corev1.ProtocolUDP},
			{peer: netip.MustParsePrefix("0.0.0.0/0"), protocol: corev1.ProtocolTCP, first: 80, last: 90},
		}},
	})
	var lines []string
	for _, chain := range got {
		if len(chain.Name) > 28 {
			t.Errorf("iptables does not take names as long as %s", chain.Name)
		}
		for _, rule := range chain.Rules {
			lines = append(lines, chain.Name+" "+rule)
		}
	}
	want := []string{
		"LOCALCLUSTER-PODS -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
		"LOCALCLUSTER-PODS -s 10.0.0.2 ! -d 10.0.0.2 -j LOCALCLUSTER-PODS-0a000002E",
		"LOCALCLUSTER-PODS -d 10.0.0.255 ! -s 10.0.0.255 -j LOCALCLUSTER-PODS-0a0000ffI",
		"LOCALCLUSTER-PODS-0a000002E -j DROP",
		"LOCALCLUSTER-PODS-0a0000ffI -j RETURN",
		"LOCALCLUSTER-PODS-0a0000ffI -s 10.1.0.0/16 -p udp -j RETURN",
		"LOCALCLUSTER-PODS-0a0000ffI -p tcp --dport 80:90 -j RETURN",
		"LOCALCLUSTER-PODS-0a0000ffI -j DROP",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
