package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/install"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apis/platform/validation"
)

// platformValues are the values files that the chart ships.
var platformValues = []string{"values-local.yaml", "values-prod.yaml"}

// renderPlatform renders the platform's chart with one of its values files and,
// over it, values given as YAML.
func renderPlatform(t *testing.T, file, over string) ([]object, error) {
	t.Helper()
	loaded, err := loader.Load("platform")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("platform/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var base, given map[string]any
	if err := yaml.UnmarshalStrict(content, &base); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := yaml.Unmarshal([]byte(over), &given); err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "platform", Namespace: "platform", Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(loaded, chartutil.CoalesceTables(given, base), release, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(loaded, values)
	if err != nil {
		return nil, err
	}
	return decode(t, files), nil
}

func mustRenderPlatform(t *testing.T, file string) []object {
	t.Helper()
	objects, err := renderPlatform(t, file, "")
	if err != nil {
		t.Fatalf("rendering with %s: %v", file, err)
	}
	return objects
}

func TestPlatformValues(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, over, refused string }{
		"local":                             {file: "values-local.yaml"},
		"production":                        {file: "values-prod.yaml"},
		"an unknown key":                    {file: "values-local.yaml", over: "replicas: 3", refused: "replicas"},
		"an unknown nested key":             {file: "values-local.yaml", over: "apiserver: {replica: 3}", refused: "replica"},
		"a URL scheme of its own":           {file: "values-local.yaml", over: "storeURL: {scheme: ftp}", refused: "storeURL/scheme"},
		"no database":                       {file: "values-local.yaml", over: "postgres: {enabled: false}", refused: "database.existingSecret"},
		"a certificate without CA":          {file: "values-local.yaml", over: "certificate: {mode: existing, existingSecret: x}", refused: "caBundle"},
		"an upper-case domain":              {file: "values-local.yaml", over: "domain: Shops.example.com", refused: "domain"},
		"a route of an unknown type":        {file: "values-prod.yaml", over: "stores: {route: {type: nodeport}}", refused: "route/type"},
		"two databases":                     {file: "values-prod.yaml", over: "postgres: {enabled: true}", refused: "more than one database"},
		"an owner without a Secret":         {file: "values-prod.yaml", over: "database: {migrate: {enabled: true}}", refused: "database/migrate/existingSecret"},
		"an owner before the database":      {file: "values-local.yaml", over: "database: {migrate: {enabled: true, existingSecret: owner}}", refused: "database.migrate"},
		"a secret store unnamed":            {file: "values-prod.yaml", over: "externalSecrets: {enabled: true}", refused: "secretStoreRef/name"},
		"a Gateway without class":           {file: "values-prod.yaml", over: "gateway: {enabled: true}", refused: "gateway.className"},
		"a client without an issuer's name": {file: "values-prod.yaml", over: "dashboard: {oidc: {issuerURL: 'https://id.example.com'}}", refused: "dashboard.oidc.clientID"},
		"an issuer without https":           {file: "values-prod.yaml", over: "dashboard: {oidc: {issuerURL: 'http://id.example.com', clientID: stores}}", refused: "oidc/issuerURL"},
		"no replica at all":                 {file: "values-prod.yaml", over: "provisioner: {replicas: 0}", refused: "provisioner/replicas"},
		"an interval of no unit":            {file: "values-prod.yaml", over: "metrics: {serviceMonitor: {interval: '30'}}", refused: "interval"},
		"a wave of a number in quotes":      {file: "values-prod.yaml", over: "engines: {medusa: {rollout: {waves: ['5']}}}", refused: "rollout/waves"},
		"a spread that is a guess":          {file: "values-prod.yaml", over: "topologySpread: {whenUnsatisfiable: Maybe}", refused: "whenUnsatisfiable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := renderPlatform(t, tc.file, tc.over)
			wantRefused(t, tc.refused, err)
		})
	}
}

func TestPlatformPodSecurity(t *testing.T) {
	t.Parallel()
	for _, file := range platformValues {
		objects := mustRenderPlatform(t, file)
		assertRestricted(t, objects)
		for owner, pod := range pods(objects) {
			for _, container := range containers(pod.Spec) {
				if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s: container %s/%s has no memory request or limit", file, owner, container.Name)
				}
			}
		}
	}
}

// With any of these missing the API server never becomes ready.
func TestAPIServerMayReadWhatAdmissionNeeds(t *testing.T) {
	t.Parallel()
	role := find[*rbacv1.ClusterRole](t, mustRenderPlatform(t, "values-prod.yaml"), "platform-apiserver")
	for group, resources := range map[string][]string{
		"": {"namespaces"},
		"admissionregistration.k8s.io": {
			"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
			"validatingadmissionpolicies", "validatingadmissionpolicybindings",
		},
		"flowcontrol.apiserver.k8s.io": {"flowschemas", "prioritylevelconfigurations"},
	} {
		for _, resource := range resources {
			for _, verb := range []string{"get", "list", "watch"} {
				if !allows(role.Rules, group, resource, verb) {
					t.Errorf("the API server may not %s %s.%s", verb, resource, group)
				}
			}
		}
	}
}

func TestProvisionerReadsNothingSecretOutsideStores(t *testing.T) {
	t.Parallel()
	objects := mustRenderPlatform(t, "values-prod.yaml")
	role := find[*rbacv1.ClusterRole](t, objects, "platform-provisioner")
	reading, writing := []string{"get", "list", "watch"}, []string{"create", "update", "patch", "delete", "deletecollection"}
	for _, test := range []struct {
		group     string
		resources []string
		verbs     []string
	}{
		{"", []string{"secrets", "configmaps", "pods", "pods/log", "events"}, slices.Concat(reading, writing)},
		{"apps", []string{"deployments", "statefulsets", "daemonsets"}, slices.Concat(reading, writing)},
		{"batch", []string{"jobs", "cronjobs"}, slices.Concat(reading, writing)},
		{"", []string{"services", "serviceaccounts", "persistentvolumeclaims", "resourcequotas", "limitranges"}, writing},
		{"networking.k8s.io", []string{"ingresses", "networkpolicies"}, writing},
	} {
		for _, resource := range test.resources {
			for _, verb := range test.verbs {
				if allows(role.Rules, test.group, resource, verb) {
					t.Errorf("the provisioner may %s %s in the whole cluster", verb, resource)
				}
			}
		}
	}
	for _, rule := range role.Rules {
		if slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Verbs, "*") {
			t.Errorf("the provisioner has a rule with a wildcard in the whole cluster: %v", rule)
		}
		if slices.Contains(rule.Verbs, "bind") && !slices.Equal(rule.ResourceNames, []string{"platform-provisioner-store", "platform-apiserver-store"}) {
			t.Errorf("the provisioner may bind the roles %v", rule.ResourceNames)
		}
		if slices.Contains(rule.Verbs, "escalate") || slices.Contains(rule.Verbs, "impersonate") {
			t.Errorf("the provisioner may %v", rule.Verbs)
		}
	}
	for _, o := range objects {
		if binding, ok := o.(*rbacv1.ClusterRoleBinding); ok && strings.HasSuffix(binding.RoleRef.Name, "-store") {
			t.Errorf("%s gives the rights in a store's namespace in all namespaces", binding.Name)
		}
	}
}

// In a store's namespace the API server may do one thing.
func TestAPIServerReadsOneSecret(t *testing.T) {
	t.Parallel()
	role := find[*rbacv1.ClusterRole](t, mustRenderPlatform(t, "values-prod.yaml"), "platform-apiserver-store")
	want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{v1alpha1.CredentialsSecret}, Verbs: []string{"get"}}}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// What the chart brings as an engine is accepted by the API.
func TestPlatformEngines(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	for _, file := range platformValues {
		engines := find[*corev1.ConfigMap](t, mustRenderPlatform(t, file), "platform-engines")
		if len(engines.Data) == 0 {
			t.Errorf("%s: there is no engine", file)
		}
		for name, manifest := range engines.Data {
			served, hub := &v1alpha1.Engine{}, &platform.Engine{}
			if err := yaml.UnmarshalStrict([]byte(manifest), served); err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
				continue
			}
			scheme.Default(served)
			if err := scheme.Convert(served, hub, nil); err != nil {
				t.Fatal(err)
			}
			if errs := validation.ValidateEngine(hub); len(errs) > 0 {
				t.Errorf("%s: %s: %v", file, name, errs.ToAggregate())
			}
		}
	}
}

// Another tag comes to the stores that follow it while the one before is offered.
func TestPlatformRollout(t *testing.T) {
	t.Parallel()
	for over, want := range map[string]*v1alpha1.EngineRollout{
		"":            nil,
		"rollout: {}": {},
		"rollout: {waves: [2, 50%], maxConcurrency: 5}": {
			Waves: []intstr.IntOrString{intstr.FromInt32(2), intstr.FromString("50%")}, MaxConcurrency: ptr.To(intstr.FromInt32(5)),
		},
	} {
		for _, name := range []string{"medusa", "woocommerce"} {
			objects, err := renderPlatform(t, "values-local.yaml", fmt.Sprintf("engines: {%s: {image: {tag: '3.0'}, earlierTags: ['2.20'], %s}}", name, over))
			if err != nil {
				t.Fatal(err)
			}
			engine := &v1alpha1.Engine{}
			if err := yaml.UnmarshalStrict([]byte(find[*corev1.ConfigMap](t, objects, "platform-engines").Data[name+".yaml"]), engine); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, engine.Spec.Rollout); diff != "" {
				t.Errorf("%s: %q: rollout (-want +got):\n%s", name, over, diff)
			}
			if versions := engine.Spec.Versions; len(versions) != 2 || versions[1].Name != "2.20" || string(versions[1].Values.Raw) != `{"image":{"tag":"2.20"}}` {
				t.Errorf("%s offers %+v", name, versions)
			}
		}
	}
}

// What an engine says that a setting is when it is left out is what its chart does.
func TestSchemaDefaultsAreTheCharts(t *testing.T) {
	t.Parallel()
	engines := find[*corev1.ConfigMap](t, mustRenderPlatform(t, "values-local.yaml"), "platform-engines")
	for name, manifest := range engines.Data {
		served := &v1alpha1.Engine{}
		if err := yaml.UnmarshalStrict([]byte(manifest), served); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		chart := *served.Spec.Chart.Builtin
		content, err := os.ReadFile(chart + "/values.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var values, schema map[string]any
		if err := yaml.Unmarshal(content, &values); err != nil {
			t.Fatalf("%s: %v", chart, err)
		}
		if err := json.Unmarshal(served.Spec.ValuesSchema.Raw, &schema); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		told := defaultsOf(schema).(map[string]any)
		if len(told) == 0 {
			t.Errorf("%s: the schema tells no defaults", name)
		}
		if actual := chartutil.CoalesceTables(told, values); !cmp.Equal(actual, values) {
			t.Errorf("%s: the schema's defaults are not the chart's values:\n%s", name, cmp.Diff(values, actual))
		}
	}
}

// defaultsOf returns the value that a schema's defaults make up, or nil.
func defaultsOf(schema map[string]any) any {
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return schema["default"]
	}
	object := map[string]any{}
	for name, property := range properties {
		if value := defaultsOf(property.(map[string]any)); value != nil {
			object[name] = value
		}
	}
	return object
}

// Whoever chooses a plan is told what its database is, and what follows from it.
func TestPlansTellOfTheirDatabase(t *testing.T) {
	t.Parallel()
	engines := find[*corev1.ConfigMap](t, mustRenderPlatform(t, platformValues[0]), "platform-engines")
	for name, database := range map[string]string{"medusa": "PostgreSQL", "woocommerce": "MariaDB"} {
		engine := &v1alpha1.Engine{}
		if err := yaml.UnmarshalStrict([]byte(engines.Data[name+".yaml"]), engine); err != nil {
			t.Fatal(err)
		}
		for _, plan := range engine.Spec.Plans {
			for _, part := range []string{database, "ReadWriteOnce", "standby", "backed up"} {
				if !strings.Contains(plan.Description, part) {
					t.Errorf("plan %s of %s does not tell of %q: %s", plan.Name, name, part, plan.Description)
				}
			}
		}
	}
}

// Nobody is told to trust a certificate that was not checked.
func TestAPIServiceVerifiesTheCertificate(t *testing.T) {
	t.Parallel()
	for _, file := range platformValues {
		service := find[*unstructured.Unstructured](t, mustRenderPlatform(t, file), "v1alpha1.platform.dev")
		spec := service.Object["spec"].(map[string]any)
		if spec["insecureSkipTLSVerify"] != nil {
			t.Errorf("%s: the APIService skips verification", file)
		}
		_, injected := service.GetAnnotations()["cert-manager.io/inject-ca-from"]
		if bundle, _ := spec["caBundle"].(string); bundle == "" && !injected {
			t.Errorf("%s: the APIService has no CA bundle", file)
		}
	}
}

func allows(rules []rbacv1.PolicyRule, group, resource, verb string) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource) && slices.Contains(rule.Verbs, verb)
	})
}

// Everybody may ask for their own quota; nobody but a cluster administrator, whose
// role names everything, may touch or see the quotas themselves.
func TestQuotasAreTheAdministrators(t *testing.T) {
	t.Parallel()
	objects := mustRenderPlatform(t, "values-prod.yaml")
	review := find[*rbacv1.ClusterRole](t, objects, "platform-quota-review")
	binding := find[*rbacv1.ClusterRoleBinding](t, objects, "platform-quota-review")
	if !allows(review.Rules, "platform.dev", "selfstorequotareviews", "create") || binding.Subjects[0].Name != "system:authenticated" {
		t.Errorf("the role %v is bound to %v", review.Rules, binding.Subjects)
	}
	for _, o := range objects {
		if role, ok := o.(*rbacv1.ClusterRole); ok {
			for _, rule := range role.Rules {
				if slices.Contains(rule.Resources, "storequotas") || slices.Contains(rule.APIGroups, "platform.dev") && slices.Contains(rule.Resources, "*") {
					t.Errorf("role %s gives %v", role.Name, rule)
				}
			}
		}
	}
}

func TestQuotaDefaultsBecomeFlags(t *testing.T) {
	t.Parallel()
	objects, err := renderPlatform(t, "values-prod.yaml", "stores: {quota: {storesPerOwner: 3, createCount: 4, createWindow: 1h}}")
	if err != nil {
		t.Fatal(err)
	}
	args := find[*appsv1.Deployment](t, objects, "platform-apiserver").Spec.Template.Spec.Containers[0].Args
	for _, want := range []string{"--default-stores-per-owner=3", "--default-create-rate=4", "--default-create-window=1h"} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is missing in %v", want, args)
		}
	}
	if _, err := renderPlatform(t, "values-prod.yaml", "stores: {quota: {createWindow: soon}}"); err == nil {
		t.Error("a window that is no duration is accepted")
	}
}

// helm lint has nothing to say against either values file.
func TestPlatformLint(t *testing.T) {
	t.Parallel()
	for _, file := range platformValues {
		values, err := chartutil.ReadValuesFile("platform/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range lint.AllWithKubeVersion("platform", values, "platform", &chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}).Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("%s: %v", file, message)
			}
		}
	}
}
