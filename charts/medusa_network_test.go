package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// What the policies let through, pod by pod. Everything that is not in these
// lists is denied.
func TestMedusaNetworkPolicies(t *testing.T) {
	t.Parallel()
	objects := render(t, withSecret)
	dns := "namespace kubernetes.io/metadata.name=kube-system: 53/UDP 53/TCP"
	want := map[string]traffic{
		"medusa": {
			ingress: []string{"pod order: http", "namespace platform.dev/reaches-stores=true: http"},
			egress:  []string{dns, "pod postgres: postgres"},
		},
		"postgres":  {ingress: []string{"pod medusa: postgres", "pod bootstrap: postgres", "pod backup: postgres", "pod restore: postgres"}},
		"bootstrap": {egress: []string{dns, "pod postgres: postgres"}},
		"backup":    {egress: []string{dns, "pod postgres: postgres"}},
		"restore":   {egress: []string{dns, "pod postgres: postgres"}},
		"order":     {egress: []string{dns, "pod medusa: http"}},
	}
	wantTraffic(t, objects, want)
}

func TestMedusaWithoutNetworkPolicies(t *testing.T) {
	t.Parallel()
	for _, o := range render(t, withSecret+"networkPolicy: {enabled: false}") {
		if policy, ok := o.(*networkingv1.NetworkPolicy); ok {
			t.Errorf("policy %s is made although they are disabled", policy.Name)
		}
	}
}

// traffic is who may reach a pod, and whom it may reach.
type traffic struct{ ingress, egress []string }

// wantTraffic checks what the policies among the objects allow each pod, by its name to
// the first dash. A stranger reaches nobody.
func wantTraffic(t *testing.T, objects []object, want map[string]traffic) {
	t.Helper()
	all := pods(objects)
	all["stranger"] = corev1.PodTemplateSpec{}
	for name, pod := range all {
		name, _, _ = strings.Cut(name, "-")
		ingress, egress := allowed(t, objects, all, pod.Labels)
		if diff := cmp.Diff(want[name].ingress, ingress); diff != "" {
			t.Errorf("who reaches %s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(want[name].egress, egress); diff != "" {
			t.Errorf("what %s reaches (-want +got):\n%s", name, diff)
		}
	}
}

// allowed lists the peers that may reach a pod with those labels, and that it may
// reach. It fails the test if no policy isolates the pod in a direction.
func allowed(t *testing.T, objects []object, all map[string]corev1.PodTemplateSpec, pod map[string]string) (ingress, egress []string) {
	t.Helper()
	var isolated []networkingv1.PolicyType
	for _, o := range objects {
		policy, ok := o.(*networkingv1.NetworkPolicy)
		if !ok || !matches(t, &policy.Spec.PodSelector, pod) {
			continue
		}
		isolated = append(isolated, policy.Spec.PolicyTypes...)
		if slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			for _, rule := range policy.Spec.Ingress {
				for _, peer := range rule.From {
					ingress = append(ingress, describe(t, all, peer, rule.Ports))
				}
			}
		}
		if slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
			for _, rule := range policy.Spec.Egress {
				for _, peer := range rule.To {
					egress = append(egress, describe(t, all, peer, rule.Ports))
				}
			}
		}
	}
	for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
		if !slices.Contains(isolated, direction) {
			t.Errorf("no policy of %s holds for pod %v", direction, pod)
		}
	}
	return ingress, egress
}

func describe(t *testing.T, all map[string]corev1.PodTemplateSpec, peer networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) string {
	t.Helper()
	text := "namespace " + metav1.FormatLabelSelector(peer.NamespaceSelector)
	if peer.PodSelector != nil {
		text = "pod"
		for name, pod := range all {
			if matches(t, peer.PodSelector, pod.Labels) {
				name, _, _ = strings.Cut(name, "-")
				text += " " + name
			}
		}
	}
	text += ":"
	for _, port := range ports {
		text += " " + port.Port.String()
		if port.Protocol != nil {
			text += fmt.Sprintf("/%s", *port.Protocol)
		}
	}
	return text
}

func matches(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(of))
}
