package charts

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// A store has a certificate of its own, made by cert-manager, unless its host is
// one that the wildcard certificate of the ingress controller is for. The solver of
// cert-manager's challenge is reachable despite the store's policies.
func TestStoreCertificate(t *testing.T) {
	t.Parallel()
	charts := map[string]func(values string) []object{
		"medusa":      func(values string) []object { return render(t, withSecret+values) },
		"woocommerce": func(values string) []object { return woo(t, values) },
	}
	for name, test := range map[string]struct{ sharedDomain, secret, issuer string }{
		"no wildcard":               {"", "storefront-tls", "letsencrypt"},
		"its wildcard":              {"example.com", "", ""},
		"the end of a label":        {"ample.com", "storefront-tls", "letsencrypt"},
		"a wildcard two levels up":  {"com", "storefront-tls", "letsencrypt"},
		"a wildcard below the host": {"flowers.example.com", "storefront-tls", "letsencrypt"},
		"a custom domain":           {"stores.example.net", "storefront-tls", "letsencrypt"},
	} {
		for chart, render := range charts {
			objects := render(`
store: {url: 'https://flowers.example.com'}
route: {type: ingress, ingress: {tls: {enabled: true, clusterIssuer: letsencrypt, sharedDomain: '` + test.sharedDomain + `'}}}`)
			ingress := find[*networkingv1.Ingress](t, objects, "storefront")
			tls := ingress.Spec.TLS[0]
			if tls.Hosts[0] != "flowers.example.com" || tls.SecretName != test.secret {
				t.Errorf("%s: %s: the Ingress has TLS %+v, want Secret %q", chart, name, tls, test.secret)
			}
			if issuer := ingress.Annotations["cert-manager.io/cluster-issuer"]; issuer != test.issuer {
				t.Errorf("%s: %s: cert-manager is asked for %q, want %q", chart, name, issuer, test.issuer)
			}
			reachable := slices.ContainsFunc(objects, func(o object) bool {
				policy, ok := o.(*networkingv1.NetworkPolicy)
				return ok && policy.Spec.PodSelector.MatchLabels["acme.cert-manager.io/http01-solver"] == "true" && len(policy.Spec.Ingress[0].From) > 0
			})
			if reachable != (test.issuer != "") {
				t.Errorf("%s: %s: who brings shoppers reaches cert-manager's solver: %v", chart, name, reachable)
			}
		}
	}
}
