package engines

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/install"
	"platform.dev/stores/pkg/registry/platform/base"
	"platform.dev/stores/pkg/registry/platform/registrytest"
)

func FuzzEngineWrites(f *testing.F) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	registrytest.FuzzWrites(f, scheme, strategy{base.NewStrategy(scheme)}, "Engine",
		`{"apiVersion":"platform.dev/v1alpha1","kind":"Engine","metadata":{"name":"medusa"},"spec":{"displayName":"Medusa","chart":{"builtin":"medusa"},"versions":[{"name":"1.0","values":{"a":1}}],"defaultVersion":"1.0","plans":[{"name":"small","quota":{"limits.cpu":"1500m","requests.storage":"1e3"},"limits":{"default":{"cpu":"0.5"}}}],"defaultPlan":"small","mappings":[{"value":"store.title","from":"DisplayName"}],"credentials":[{"key":"password","generate":{"length":24}},{"key":"user","from":"AdminEmail"}],"adminLogin":{"usernameKey":"user","passwordKey":"password"},"storefront":{"service":"shop","port":80,"adminPath":"/app","checks":[{"path":"/"}]}}}`,
		`{"apiVersion":"platform.dev/v1alpha1","kind":"Engine","metadata":{"name":"a"},"spec":{"chart":{"oci":"oci://example.com/a","repository":{"url":"https://example.com","name":"a"}},"versions":[{"name":"1"},{"name":"1"}],"plans":[],"rollout":{"waves":[1,"10%","100%"],"maxConcurrency":"-1","maxFailures":0,"paused":true},"valuesSchema":{"type":"object","properties":{"a":{"pattern":"("}}},"storefront":{"checks":[{"path":"//x","status":99}]}}}`,
		"apiVersion: platform.dev/v1alpha1\nkind: Engine\nmetadata: {name: medusa}\nspec: {plans: [{name: small, quota: {a b: -1, pods: 1e1000}}]}\n",
	)
}
