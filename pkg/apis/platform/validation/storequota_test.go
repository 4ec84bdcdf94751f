package validation

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform"
)

func TestValidateStoreQuota(t *testing.T) {
	t.Parallel()
	none := int32(0)
	tests := []struct {
		name string
		spec platform.StoreQuotaSpec
		want string
	}{
		{"number", platform.StoreQuotaSpec{Hard: platform.StoreQuotaHard{Stores: &none}}, ""},
		{"rate", platform.StoreQuotaSpec{CreateRate: &platform.CreateRate{Count: 1, WindowSeconds: 1}}, ""},
		{"neither", platform.StoreQuotaSpec{}, "spec"},
		{"user's name of any kind", platform.StoreQuotaSpec{
			Hard:     platform.StoreQuotaHard{Stores: &none},
			Subjects: []platform.QuotaSubject{{Kind: platform.QuotaSubjectUser, Name: "oidc:Alice <a@b>"}},
		}, ""},
		{"namespace that cannot be", platform.StoreQuotaSpec{
			Hard:     platform.StoreQuotaHard{Stores: &none},
			Subjects: []platform.QuotaSubject{{Kind: platform.QuotaSubjectNamespace, Name: "My Shops"}},
		}, "spec.subjects[0].name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			quota := &platform.StoreQuota{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}, Spec: test.spec}
			got := ""
			for _, err := range ValidateStoreQuota(quota) {
				got += err.Field
			}
			if got != test.want {
				t.Errorf("faults at %q, want %q", got, test.want)
			}
		})
	}
}
