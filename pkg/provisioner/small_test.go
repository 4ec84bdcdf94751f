package provisioner

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestNamespaceName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"flowers":                       "store-flowers-ca978112",
		strings.Repeat("a", 63):         "store-" + strings.Repeat("a", 48) + "-ca978112",
		strings.Repeat("a", 47) + "-bc": "store-" + strings.Repeat("a", 47) + "-ca978112",
		"a.b":                           "store-a-b-ca978112",
	} {
		got := NamespaceName(&v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("a")}})
		if got != want {
			t.Errorf("the namespace of %q is %q, want %q", name, got, want)
		}
		if problems := validation.IsDNS1123Label(got); len(problems) > 0 {
			t.Errorf("%q is no name of a namespace: %v", got, problems)
		}
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var r retry
	if got := r.wait("a", now); got != 0 {
		t.Errorf("the first attempt waits %s", got)
	}
	least := 2 * time.Second
	for range 12 {
		delay := r.tried("a", now)
		if delay < least || delay > least*5/4 {
			t.Errorf("the delay is %s, want %s and up to a quarter more", delay, least)
		}
		if got := r.wait("a", now.Add(delay-time.Second)); got != time.Second {
			t.Errorf("a second before the end the wait is %s", got)
		}
		if got := r.wait("b", now); got != 0 {
			t.Errorf("another goal waits %s", got)
		}
		least = min(2*least, 5*time.Minute)
	}
	if delay := r.tried("b", now); delay > 3*time.Second {
		t.Errorf("another goal starts with %s", delay)
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	if got := clip(strings.Repeat("花", 400)); len(got) > 1024 || !strings.HasSuffix(got, "花...") {
		t.Errorf("got %d bytes that end with %q", len(got), got[len(got)-6:])
	}
	if got := clip("short"); got != "short" {
		t.Errorf("got %q", got)
	}
}

func TestIngressHasAddress(t *testing.T) {
	t.Parallel()
	with := func(lb ...networkingv1.IngressLoadBalancerIngress) *networkingv1.Ingress {
		return &networkingv1.Ingress{Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: lb}}}
	}
	if hasAddress(with()) || hasAddress(with(networkingv1.IngressLoadBalancerIngress{})) {
		t.Error("no address counts as one")
	}
	if !hasAddress(with(networkingv1.IngressLoadBalancerIngress{IP: "192.0.2.1"})) || !hasAddress(with(networkingv1.IngressLoadBalancerIngress{Hostname: "lb.example.com"})) {
		t.Error("an address does not count")
	}
}

func TestRouteProblem(t *testing.T) {
	t.Parallel()
	parent := func(accepted, resolved string, generation int64) map[string]any {
		conditions := []any{map[string]any{"type": "Accepted", "status": accepted, "message": "no such host", "observedGeneration": generation}}
		if resolved != "" {
			conditions = append(conditions, map[string]any{"type": "ResolvedRefs", "status": resolved, "message": "no such service"})
		}
		return map[string]any{"conditions": conditions}
	}
	for name, tc := range map[string]struct {
		parents []any
		want    string
	}{
		"accepted":             {[]any{parent("True", "True", 2)}, ""},
		"accepted by one":      {[]any{parent("False", "", 2), parent("True", "", 2)}, ""},
		"not seen":             {nil, "has not been taken up by a Gateway yet."},
		"seen before a change": {[]any{parent("True", "True", 1)}, "has not been taken up by a Gateway yet."},
		"refused":              {[]any{parent("False", "", 2)}, "is not accepted by its Gateway: no such host"},
		"no such service":      {[]any{parent("True", "False", 2)}, "refers to what its Gateway cannot find: no such service"},
	} {
		route := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"generation": int64(2)}, "status": map[string]any{"parents": tc.parents},
		}}
		if got := routeProblem(route); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestReadEngines(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: platform.dev/v1alpha1\nkind: Engine\n"
	for name, tc := range map[string]struct {
		manifest string
		want     int
		wantErr  string
	}{
		"one":              {head + "metadata: {name: a}\nspec: {displayName: A}\n", 1, ""},
		"two":              {head + "metadata: {name: a}\n---\n" + head + "metadata: {name: b}\n", 2, ""},
		"an unknown field": {head + "metadata: {name: a}\nspec: {display: A}\n", 0, `unknown field "display"`},
		"another kind":     {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", 0, "is no named Engine"},
		"no name":          {head, 0, "is no named Engine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engines, err := ReadEngines(fstest.MapFS{"a.yaml": {Data: []byte(tc.manifest)}, "README.md": {Data: []byte("no manifest")}})
			if len(engines) != tc.want || (err == nil) != (tc.wantErr == "") || (err != nil && !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("got %d engines and error %v", len(engines), err)
			}
		})
	}
}
