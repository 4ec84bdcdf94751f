package validation

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform"
)

func newEngine() *platform.Engine {
	return &platform.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "medusa"},
		Spec: platform.EngineSpec{
			Versions:       []platform.EngineVersion{{Name: "1.0"}},
			DefaultVersion: "1.0",
			Plans:          []platform.EnginePlan{{Name: "small", Quota: map[string]resource.Quantity{"limits.cpu": resource.MustParse("2")}}},
			DefaultPlan:    "small",
			Mappings:       []platform.ValueMapping{{Value: "store.title", From: platform.StoreFieldDisplayName}},
			Credentials:    []platform.Credential{{Key: "admin-password"}},
			Storefront:     platform.Storefront{AdminPath: "/app", Checks: []platform.StorefrontCheck{{Path: "/store/products?limit=1"}}},
		},
	}
}

func TestValidateEngine(t *testing.T) {
	t.Parallel()
	list := &runtime.RawExtension{Raw: []byte(`[]`)}
	tests := []struct {
		name   string
		change func(*platform.EngineSpec)
		want   string
	}{
		{"plain", func(*platform.EngineSpec) {}, ""},
		{"default version not offered", func(s *platform.EngineSpec) { s.DefaultVersion = "2.0" }, "spec.defaultVersion"},
		{"default plan not offered", func(s *platform.EngineSpec) { s.DefaultPlan = "large" }, "spec.defaultPlan"},
		{"values that are a list", func(s *platform.EngineSpec) { s.Values = list }, "spec.values"},
		{"schema that is a list", func(s *platform.EngineSpec) { s.ValuesSchema = list }, "spec.valuesSchema"},
		{"values of a version that are a list", func(s *platform.EngineSpec) { s.Versions[0].Values = list }, "spec.versions[0].values"},
		{"values of a plan that are a list", func(s *platform.EngineSpec) { s.Plans[0].Values = list }, "spec.plans[0].values"},
		{"negative quota", func(s *platform.EngineSpec) { s.Plans[0].Quota["limits.cpu"] = resource.MustParse("-1") }, "spec.plans[0].quota[limits.cpu]"},
		{"quota of nothing", func(s *platform.EngineSpec) { s.Plans[0].Quota["a b"] = resource.MustParse("1") }, "spec.plans[0].quota[a b]"},
		{"negative limit", func(s *platform.EngineSpec) {
			s.Plans[0].Limits.Max = map[string]resource.Quantity{"memory": resource.MustParse("-1Gi")}
		}, "spec.plans[0].limits.max[memory]"},
		{"mapping with a comma", func(s *platform.EngineSpec) { s.Mappings[0].Value = "a,b=c" }, "spec.mappings[0].value"},
		{"mapping with an empty part", func(s *platform.EngineSpec) { s.Mappings[0].Value = "a..b" }, "spec.mappings[0].value"},
		{"credential with a slash", func(s *platform.EngineSpec) { s.Credentials[0].Key = "a/b" }, "spec.credentials[0].key"},
		{"login of credentials", func(s *platform.EngineSpec) {
			s.AdminLogin = &platform.AdminLogin{UsernameKey: "admin-password", PasswordKey: "admin-password"}
		}, ""},
		{"login name that is no credential", func(s *platform.EngineSpec) {
			s.AdminLogin = &platform.AdminLogin{UsernameKey: "root", PasswordKey: "admin-password"}
		}, "spec.adminLogin.usernameKey"},
		{"password that is no credential", func(s *platform.EngineSpec) {
			s.AdminLogin = &platform.AdminLogin{UsernameKey: "admin-password", PasswordKey: "root"}
		}, "spec.adminLogin.passwordKey"},
		{"check of another host", func(s *platform.EngineSpec) { s.Storefront.Checks[0].Path = "//evil.example.com" }, "spec.storefront.checks[0].path"},
		{"check with a line break", func(s *platform.EngineSpec) { s.Storefront.Checks[0].Path = "/a\r\nX: y" }, "spec.storefront.checks[0].path"},
		{"admin path that is a URL", func(s *platform.EngineSpec) { s.Storefront.AdminPath = "https://evil.example.com" }, "spec.storefront.adminPath"},
		{"rollout of all defaults", func(s *platform.EngineSpec) { s.Rollout = &platform.EngineRollout{} }, ""},
		{"rollout", func(s *platform.EngineSpec) {
			s.Rollout = &platform.EngineRollout{
				Waves:          []intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("1%"), intstr.FromString("100%")},
				MaxConcurrency: share("5%"), MaxFailures: share("0%"),
			}
		}, ""},
		{"wave of none", func(s *platform.EngineSpec) {
			s.Rollout = &platform.EngineRollout{Waves: []intstr.IntOrString{intstr.FromInt32(1), intstr.FromInt32(0)}}
		}, "spec.rollout.waves[1]"},
		{"wave of more than all", func(s *platform.EngineSpec) {
			s.Rollout = &platform.EngineRollout{Waves: []intstr.IntOrString{intstr.FromString("101%")}}
		}, "spec.rollout.waves[0]"},
		{"wave that is a number in quotes", func(s *platform.EngineSpec) {
			s.Rollout = &platform.EngineRollout{Waves: []intstr.IntOrString{intstr.FromString("5")}}
		}, "spec.rollout.waves[0]"},
		{"nobody at a time", func(s *platform.EngineSpec) { s.Rollout = &platform.EngineRollout{MaxConcurrency: share("0%")} }, "spec.rollout.maxConcurrency"},
		{"fewer failures than none", func(s *platform.EngineSpec) { s.Rollout = &platform.EngineRollout{MaxFailures: share("-1")} }, "spec.rollout.maxFailures"},
		{"no admin path", func(s *platform.EngineSpec) { s.Storefront.AdminPath = "" }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine()
			test.change(&engine.Spec)
			expect(t, ValidateEngine(engine), test.want)
		})
	}
}

func share(text string) *intstr.IntOrString { return ptr.To(intstr.Parse(text)) }

func TestValidateEngineStatusUpdate(t *testing.T) {
	t.Parallel()
	old := newEngine()
	old.ResourceVersion = "1"
	engine := old.DeepCopy()
	engine.Status.Conditions = []metav1.Condition{{Type: "RolledOut", Status: "Perhaps", Reason: "Complete", LastTransitionTime: metav1.Now()}}
	expect(t, ValidateEngineStatusUpdate(engine, old), "status.conditions[0].status")
}

func TestValidateEngineUpdate(t *testing.T) {
	t.Parallel()
	old := newEngine()
	old.ResourceVersion = "1"
	engine := old.DeepCopy()
	expect(t, ValidateEngineUpdate(engine, old), "")
	engine.Spec.DefaultPlan = "large"
	expect(t, ValidateEngineUpdate(engine, old), "spec.defaultPlan")
}
