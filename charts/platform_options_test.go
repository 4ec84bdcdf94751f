package charts

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// options are values over one of the values files, each for a property that
// differs between clusters. Every one is rendered and decoded strictly.
var options = map[string]struct{ file, over string }{
	"local":      {file: "values-local.yaml"},
	"production": {file: "values-prod.yaml"},
	"pulling": {"values-prod.yaml", `
image: {registry: "localhost:5000", pullPolicy: Always, pullSecrets: [{name: registry}]}`},
	"scheduling": {"values-prod.yaml", `
topologySpread: {keys: [topology.kubernetes.io/zone], whenUnsatisfiable: DoNotSchedule}
apiserver: {priorityClassName: "", nodeSelector: {pool: system}, tolerations: [{key: system, operator: Exists}]}
provisioner: {priorityClassName: important}`},
	"no spread":       {"values-prod.yaml", `topologySpread: {keys: []}`},
	"one of each":     {"values-prod.yaml", `{apiserver: {replicas: 1, autoscaling: {enabled: false}}, dashboard: {replicas: 1, autoscaling: {enabled: false}}, provisioner: {replicas: 1}}`},
	"fixed replicas":  {"values-prod.yaml", `{apiserver: {replicas: 3, autoscaling: {enabled: false}}, dashboard: {autoscaling: {enabled: false}}}`},
	"encrypted":       {"values-prod.yaml", `apiserver: {encryption: {existingSecret: keys}}`},
	"no budgets":      {"values-prod.yaml", `podDisruptionBudget: {enabled: false}`},
	"no policies":     {"values-prod.yaml", `networkPolicy: {enabled: false}`},
	"no monitoring":   {"values-prod.yaml", `metrics: {serviceMonitor: {enabled: false}}`},
	"monitoring":      {"values-prod.yaml", `metrics: {serviceMonitor: {interval: 15s, labels: {release: prometheus}, prometheus: {serviceAccount: p8s, namespace: observe}}}`},
	"storage classes": {"values-local.yaml", `{stores: {storageClassName: fast}, postgres: {storage: {storageClassName: fast, size: 20Gi}}}`},
	"secret store": {"values-prod.yaml", `
database: {existingSecret: ""}
externalSecrets: {enabled: true, secretStoreRef: {name: vault}, database: {key: stores, property: dsn}}`},
	"an owner of the tables": {"values-prod.yaml", `
database: {migrate: {enabled: true, existingSecret: owner, grantTo: stores}}
image: {pullSecrets: [{name: registry}]}
apiserver: {nodeSelector: {pool: system}, tolerations: [{key: system, operator: Exists}]}`},
	"CloudNativePG": {"values-prod.yaml", `
database: {existingSecret: "", cloudnativepg: {enabled: true, storage: {storageClassName: fast}}}`},
	"a Gateway of its own": {"values-prod.yaml", `
gateway: {enabled: true, className: traefik, clusterIssuer: letsencrypt-dns}
stores: {route: {type: gateway}}
dashboard: {route: {type: gateway}}`},
	"another's Gateway": {"values-prod.yaml", `
stores: {route: {type: gateway, gateway: {name: shared, namespace: gateways, sectionName: https}}}`},
	"a wildcard certificate": {"values-prod.yaml", `stores: {route: {tls: {wildcard: true}}}`},
	"external-dns":           {"values-prod.yaml", `stores: {route: {externalDNS: {target: lb.example.com}}}`},
	"reserved hosts":         {"values-prod.yaml", `stores: {reservedHosts: [www.example.com]}`},
	"no dashboard":           {"values-prod.yaml", `dashboard: {enabled: false}`},
	"an identity provider": {"values-prod.yaml", `
dashboard: {host: shops.example.org, oidc: {issuerURL: "https://id.example.com", clientID: stores, existingSecret: oidc}, sessionKey: {existingSecret: mine}}`},
	"bounded history": {"values-prod.yaml", `apiserver: {history: {retention: 24h, maxSize: 10Gi}}`},
	"endless history": {"values-prod.yaml", `apiserver: {history: {retention: ""}}`},
	"no routes":       {"values-prod.yaml", `stores: {route: {type: none}}`},
	"certificate of one's own": {"values-prod.yaml", `
certificate: {mode: existing, existingSecret: mine, caBundle: Y2E=}`},
}

func renderOption(t *testing.T, name string) []object {
	t.Helper()
	option, ok := options[name]
	if !ok {
		t.Fatalf("there is no option %q", name)
	}
	objects, err := renderPlatform(t, option.file, option.over)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return objects
}

// Whatever is chosen, every object is one that its API takes: unknown fields,
// duplicate objects and unsafe pods fail.
func TestPlatformOptions(t *testing.T) {
	t.Parallel()
	for name := range options {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := renderOption(t, name)
			assertRestricted(t, objects)
			seen := map[string]bool{}
			for _, o := range objects {
				key := o.GetObjectKind().GroupVersionKind().String() + " " + o.GetNamespace() + "/" + o.GetName()
				if seen[key] {
					t.Errorf("%s is rendered twice", key)
				}
				seen[key] = true
				if custom, ok := o.(*unstructured.Unstructured); ok {
					decodeCustom(t, custom)
				}
			}
		})
	}
}

// Each value reaches the object that it is for.
func TestPlatformOptionsTakeEffect(t *testing.T) {
	t.Parallel()
	t.Run("encrypted", func(t *testing.T) {
		pod := pods(renderOption(t, "encrypted"))["platform-apiserver"]
		mounted := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil && v.Secret.SecretName == "keys" })
		told := slices.ContainsFunc(pod.Spec.Containers[0].Args, func(arg string) bool { return strings.HasPrefix(arg, "--encryption-provider-config=/run/encryption/") })
		if !mounted || !told {
			t.Errorf("the Secret is mounted: %t, and named to the server: %t", mounted, told)
		}
	})
	t.Run("pulling", func(t *testing.T) {
		for owner, pod := range pods(renderOption(t, "pulling")) {
			if !slices.Equal(pod.Spec.ImagePullSecrets, []corev1.LocalObjectReference{{Name: "registry"}}) {
				t.Errorf("%s pulls with %v", owner, pod.Spec.ImagePullSecrets)
			}
			for _, container := range containers(pod.Spec) {
				if container.ImagePullPolicy != corev1.PullAlways || !strings.HasPrefix(container.Image, "localhost:5000/") {
					t.Errorf("%s pulls %s %s", owner, container.Image, container.ImagePullPolicy)
				}
			}
		}
	})
	t.Run("scheduling", func(t *testing.T) {
		pod := find[*appsv1.Deployment](t, renderOption(t, "scheduling"), "platform-apiserver").Spec.Template.Spec
		spread := pod.TopologySpreadConstraints
		if len(spread) != 1 || spread[0].TopologyKey != corev1.LabelTopologyZone || spread[0].WhenUnsatisfiable != corev1.DoNotSchedule {
			t.Errorf("the pods are spread by %+v", spread)
		}
		if pod.NodeSelector["pool"] != "system" || len(pod.Tolerations) != 1 {
			t.Errorf("the pods may run on %v, %v", pod.NodeSelector, pod.Tolerations)
		}
	})
	t.Run("history", func(t *testing.T) {
		for option, want := range map[string][]string{
			"production":      {"--history-retention=720h"},
			"bounded history": {"--history-retention=24h", "--history-max-size=10Gi"},
			"endless history": nil,
		} {
			args := find[*appsv1.Deployment](t, renderOption(t, option), "platform-apiserver").Spec.Template.Spec.Containers[0].Args
			got := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !strings.HasPrefix(arg, "--history-") })
			if !slices.Equal(got, want) {
				t.Errorf("%s: the API server has %q, want %q", option, got, want)
			}
		}
	})
	t.Run("storage class", func(t *testing.T) {
		objects := renderOption(t, "storage classes")
		claim := find[*appsv1.StatefulSet](t, objects, "platform-postgres").Spec.VolumeClaimTemplates[0].Spec
		if claim.StorageClassName == nil || *claim.StorageClassName != "fast" {
			t.Errorf("PostgreSQL's claim is %+v", claim)
		}
		for engine, values := range engineValues(t, objects) {
			if !strings.Contains(values, `"database":{"storageClassName":"fast"}`) {
				t.Errorf("the values of %s are %s", engine, values)
			}
		}
	})
	t.Run("database", func(t *testing.T) {
		for option, want := range map[string]struct{ secret, key string }{
			"production":    {"stores-database", "dsn"},
			"local":         {"platform-postgres", "dsn"},
			"secret store":  {"platform-database", "dsn"},
			"CloudNativePG": {"platform-database-app", "uri"},
		} {
			pod := find[*appsv1.Deployment](t, renderOption(t, option), "platform-apiserver").Spec.Template.Spec
			if !slices.Contains(pod.Containers[0].Args, "--postgres-dsn-file=/run/database/"+want.key) {
				t.Errorf("%s: the API server reads %v, want key %s", option, pod.Containers[0].Args, want.key)
			}
			mounted := slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
				return v.Name == "database" && v.Secret != nil && v.Secret.SecretName == want.secret
			})
			if !mounted {
				t.Errorf("%s: the API server does not mount Secret %s", option, want.secret)
			}
		}
	})
	t.Run("an owner of the tables", func(t *testing.T) {
		objects := renderOption(t, "an owner of the tables")
		job := find[*batchv1.Job](t, objects, "platform-migrate")
		if hook := job.Annotations["helm.sh/hook"]; hook != "pre-install,pre-upgrade" {
			t.Errorf("the owner comes at %q, want before all servers", hook)
		}
		pod := job.Spec.Template.Spec
		server := find[*appsv1.Deployment](t, objects, "platform-apiserver").Spec.Template.Spec
		if got := pod.Containers[0]; got.Image != server.Containers[0].Image ||
			!slices.Equal(got.Args, []string{"migrate", "--postgres-dsn-file=/run/database/dsn", "--grant-to=stores"}) {
			t.Errorf("the owner runs %s %v", got.Image, got.Args)
		}
		if secret := pod.Volumes[0].Secret; secret == nil || secret.SecretName != "owner" || pod.Containers[0].VolumeMounts[0].MountPath != "/run/database" {
			t.Errorf("the owner's connection string is from %+v", pod.Volumes)
		}
		for _, volume := range server.Volumes {
			if volume.Secret != nil && volume.Secret.SecretName == "owner" {
				t.Error("the servers know the owner's password")
			}
		}
		for _, o := range renderOption(t, "production") {
			if o.GetName() == "platform-migrate" {
				t.Error("there is a Job that nobody asked for")
			}
		}
	})
	t.Run("routes", func(t *testing.T) {
		for option, want := range map[string]string{
			"production":             `"tls":{"clusterIssuer":"letsencrypt","enabled":true,"sharedDomain":""}`,
			"a wildcard certificate": `"sharedDomain":"stores.example.com"`,
			"external-dns":           `"external-dns.alpha.kubernetes.io/target":"lb.example.com"`,
			"a Gateway of its own":   `"parent":{"name":"platform","namespace":"platform","sectionName":"https"}`,
			"another's Gateway":      `"parent":{"name":"shared","namespace":"gateways","sectionName":"https"}`,
			"no routes":              `"type":"none"`,
		} {
			for engine, values := range engineValues(t, renderOption(t, option)) {
				if !strings.Contains(values, want) {
					t.Errorf("%s: want %s in the values of %s: %s", option, want, engine, values)
				}
			}
		}
	})
}

// The dashboard answers where its users are told to go, with no token of its own,
// and no store can take its host.
func TestPlatformDashboard(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{
		"local":                "http://dashboard.localhost:8080",
		"production":           "https://dashboard.stores.example.com",
		"an identity provider": "https://shops.example.org",
	} {
		objects := renderOption(t, option)
		pod := find[*appsv1.Deployment](t, objects, "platform-dashboard").Spec.Template.Spec
		if !slices.Contains(pod.Containers[0].Args, "--external-url="+want) {
			t.Errorf("%s: the dashboard is told %v, want %s", option, pod.Containers[0].Args, want)
		}
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: the dashboard has a token of its own", option)
		}
		_, host, _ := strings.Cut(want, "://")
		host, _, _ = strings.Cut(host, ":")
		if route := find[*networkingv1.Ingress](t, objects, "platform-dashboard"); route.Spec.Rules[0].Host != host {
			t.Errorf("%s: the dashboard's route is for %s, want %s", option, route.Spec.Rules[0].Host, host)
		}
		policy := find[*admissionregistrationv1.ValidatingAdmissionPolicy](t, objects, "platform-reserved-hosts")
		if rule := policy.Spec.Validations[0].Expression; !strings.Contains(rule, `"`+host+`"`) {
			t.Errorf("%s: a store may take the dashboard's host: %s", option, rule)
		}
	}
	for _, o := range renderOption(t, "no dashboard") {
		if o.GetName() == "platform-dashboard" {
			t.Errorf("without a dashboard there is %T %s", o, o.GetName())
		}
	}
}

// An autoscaler and an upgrade must not fight about the number of replicas, and a
// budget for a single replica would block the draining of its node.
func TestPlatformReplicas(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]struct {
		autoscaled bool
		budgets    int
	}{
		"production":     {true, 3},
		"one of each":    {false, 0},
		"fixed replicas": {false, 3},
		"no budgets":     {true, 0},
		"local":          {false, 0},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			objects := renderOption(t, option)
			var budgets, scalers int
			for _, o := range objects {
				switch o := o.(type) {
				case *policyv1.PodDisruptionBudget:
					budgets++
					assertSelectsPods(t, objects, o.Name, o.Spec.Selector)
				case *autoscalingv2.HorizontalPodAutoscaler:
					scalers++
					find[*appsv1.Deployment](t, objects, o.Spec.ScaleTargetRef.Name)
				}
			}
			for _, name := range []string{"platform-apiserver", "platform-dashboard"} {
				deployment := find[*appsv1.Deployment](t, objects, name)
				if autoscaled := scalers == 2 && deployment.Spec.Replicas == nil; autoscaled != want.autoscaled {
					t.Errorf("%d autoscalers, and %s has replicas %v", scalers, name, deployment.Spec.Replicas)
				}
			}
			if budgets != want.budgets {
				t.Errorf("%d budgets, want %d", budgets, want.budgets)
			}
		})
	}
}

func assertSelectsPods(t *testing.T, objects []object, owner string, selector *metav1.LabelSelector) {
	t.Helper()
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods(objects) {
		if matches.Matches(labels.Set(pod.Labels)) {
			return
		}
	}
	t.Errorf("%s selects no pod: %s", owner, matches)
}

// Prometheus reaches every program's metrics by a Service that exists, over a
// verified connection where they are guarded, and may read them.
func TestServiceMonitors(t *testing.T) {
	t.Parallel()
	objects := renderOption(t, "monitoring")
	var services []*corev1.Service
	monitors := 0
	for _, o := range objects {
		if service, ok := o.(*corev1.Service); ok {
			services = append(services, service)
		}
	}
	for _, o := range objects {
		if o.GetObjectKind().GroupVersionKind().Kind != "ServiceMonitor" {
			continue
		}
		monitors++
		monitor := decodeCustom(t, o.(*unstructured.Unstructured)).(*serviceMonitor)
		if monitor.Labels["release"] != "prometheus" {
			t.Errorf("%s has labels %v", monitor.Name, monitor.Labels)
		}
		endpoint := monitor.Spec.Endpoints[0]
		matched := slices.ContainsFunc(services, func(s *corev1.Service) bool {
			selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
			return err == nil && selector.Matches(labels.Set(s.Labels)) &&
				slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == endpoint.Port })
		})
		if !matched {
			t.Errorf("%s finds no Service with port %s", monitor.Name, endpoint.Port)
		}
		if endpoint.Scheme == "https" && (endpoint.TLSConfig.CA.Secret.Key != "ca.crt" || endpoint.TLSConfig.ServerName != "platform-apiserver.platform.svc") {
			t.Errorf("%s trusts %+v", monitor.Name, endpoint.TLSConfig)
		}
	}
	if monitors != 3 {
		t.Errorf("%d ServiceMonitors, want one for each of three programs", monitors)
	}
	binding := find[*rbacv1.ClusterRoleBinding](t, objects, "platform-metrics-reader")
	if s := binding.Subjects[0]; s.Name != "p8s" || s.Namespace != "observe" {
		t.Errorf("%+v may read the metrics", s)
	}
	policy := find[*networkingv1.NetworkPolicy](t, objects, "platform-provisioner")
	if from := policy.Spec.Ingress[0].From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]; from != "observe" {
		t.Errorf("the provisioner's metrics are open to namespace %q", from)
	}
}

// A NetworkPolicy guards pods that exist.
func TestPlatformNetworkPolicies(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"local", "production"} {
		objects := renderOption(t, file)
		found := 0
		for _, o := range objects {
			if policy, ok := o.(*networkingv1.NetworkPolicy); ok {
				found++
				assertSelectsPods(t, objects, policy.Name, &policy.Spec.PodSelector)
			}
		}
		if found < 2 {
			t.Errorf("%s has %d network policies", file, found)
		}
	}
}

// Whatever manifest is shipped checks the certificates of whom it talks to.
func TestNobodySkipsVerification(t *testing.T) {
	t.Parallel()
	for name := range options {
		for _, o := range renderOption(t, name) {
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"insecureSkipTLSVerify", "insecureSkipVerify", "insecure-skip-tls-verify"} {
				if strings.Contains(string(raw), word) {
					t.Errorf("%s: %s has %s", name, o.GetName(), word)
				}
			}
		}
	}
	traefik, err := os.ReadFile("../hack/traefik/traefik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(traefik)), "insecureskip") {
		t.Error("Traefik skips the verification of certificates")
	}
}

// engineValues are the chart values of every engine as JSON with sorted keys.
func engineValues(t *testing.T, objects []object) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, manifest := range find[*corev1.ConfigMap](t, objects, "platform-engines").Data {
		var engine struct {
			Spec struct {
				Values map[string]any `json:"values"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal([]byte(manifest), &engine); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(engine.Spec.Values)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(raw)
	}
	if len(found) < 2 {
		t.Fatalf("there are only the engines %v", found)
	}
	return found
}
