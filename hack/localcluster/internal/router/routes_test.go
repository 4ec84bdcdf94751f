package router

import (
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	ingresses := []*networkingv1.Ingress{
		newIngress("thief", 9, ClassName, rule("a.localhost", "/", networkingv1.PathTypePrefix)),
		newIngress("a", 1, ClassName, rule("a.localhost", "/", networkingv1.PathTypePrefix)),
		newIngress("a-admin", 2, ClassName, rule("a.localhost", "/admin", networkingv1.PathTypePrefix)),
		newIngress("a-admin-exact", 3, ClassName, rule("a.localhost", "/admin", networkingv1.PathTypeExact)),
		newIngress("wildcard", 1, ClassName, rule("*.localhost", "/", networkingv1.PathTypeImplementationSpecific)),
		newIngress("foreign", 1, "nginx", rule("foreign.example", "/", networkingv1.PathTypePrefix)),
		newIngress("path-only", 1, ClassName, rule("only.example", "/shop/", networkingv1.PathTypePrefix)),
	}
	tests := []struct {
		name, host, path, want string
	}{
		{"host", "a.localhost", "/", "a"},
		{"host in capitals with a final dot", "A.LocalHost.", "/x", "a"},
		{"longest prefix", "a.localhost", "/admin/users", "a-admin"},
		{"exact path before prefix", "a.localhost", "/admin", "a-admin-exact"},
		{"prefix of elements, not of letters", "a.localhost", "/administrator", "a"},
		{"wildcard", "b.localhost", "/", "wildcard"},
		{"wildcard is one label", "c.b.localhost", "/", ""},
		{"wildcard needs a label", "localhost", "/", ""},
		{"prefix with a final slash", "only.example", "/shop", "path-only"},
		{"no path fits", "only.example", "/", ""},
		{"class of another controller", "foreign.example", "/", ""},
		{"unknown host", "x.example", "/", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, found := route(ingresses, test.host, test.path)
			if found != (test.want != "") || got.backend.Name != test.want {
				t.Errorf("routed to %q, want %q", got.backend.Name, test.want)
			}
		})
	}
}

func TestRouteFallsBackToADefaultBackend(t *testing.T) {
	t.Parallel()
	fallback := newIngress("fallback", 1, ClassName)
	fallback.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "fallback"}}
	ingresses := []*networkingv1.Ingress{fallback, newIngress("a", 2, ClassName, rule("a.localhost", "/", networkingv1.PathTypePrefix))}
	for host, want := range map[string]string{"a.localhost": "a", "b.localhost": "fallback"} {
		if got, _ := route(ingresses, host, "/"); got.backend.Name != want {
			t.Errorf("%s routed to %q, want %q", host, got.backend.Name, want)
		}
	}
}

// rule routes to a Service that newIngress names.
func rule(host, path string, kind networkingv1.PathType) networkingv1.IngressRule {
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &kind, Backend: networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Port: networkingv1.ServiceBackendPort{Name: "http"}},
		}}},
	}}}
}

// newIngress makes an Ingress whose rules lead to a Service of the same name.
func newIngress(name string, age int64, class string, rules ...networkingv1.IngressRule) *networkingv1.Ingress {
	for i := range rules {
		rules[i].HTTP.Paths[0].Backend.Service.Name = name
	}
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", CreationTimestamp: metav1.NewTime(time.Unix(age, 0))},
		Spec:       networkingv1.IngressSpec{IngressClassName: ptr.To(class), Rules: rules},
	}
}
