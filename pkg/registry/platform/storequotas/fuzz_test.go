package storequotas

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/install"
	"platform.dev/stores/pkg/registry/platform/base"
	"platform.dev/stores/pkg/registry/platform/registrytest"
)

func FuzzStoreQuotaWrites(f *testing.F) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	registrytest.FuzzWrites(f, scheme, strategy{base.NewStrategy(scheme)}, "StoreQuota",
		`{"apiVersion":"platform.dev/v1alpha1","kind":"StoreQuota","metadata":{"name":"team-a"},"spec":{"subjects":[{"kind":"User","name":"oidc:alice"},{"kind":"Namespace","name":"shops"}],"hard":{"stores":5},"createRate":{"count":3,"windowSeconds":60}}}`,
		`{"apiVersion":"platform.dev/v1alpha1","kind":"StoreQuota","metadata":{"name":"a"},"spec":{"subjects":[{"kind":"Namespace","name":"My Shops"},{"kind":"x"}],"hard":{"stores":-1},"createRate":{"count":99999999999,"windowSeconds":0}}}`,
	)
}
