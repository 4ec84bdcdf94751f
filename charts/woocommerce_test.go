package charts

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// woo renders the chart woocommerce and decodes every object, strictly.
func woo(t *testing.T, values string) []object {
	t.Helper()
	files, err := renderText(t, "woocommerce", withSecret+values)
	if err != nil {
		t.Fatalf("rendering: %v", err)
	}
	return decode(t, files)
}

const (
	checksum   = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	pluginURL  = "plugin: {url: 'https://mirror.example/shop.zip', sha256: " + checksum + "}\n"
	pluginOnPV = "plugin: {existingClaim: plugins}\n"
)

func TestWooCommerceSchema(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values, refused string
	}{
		"the defaults":              {"", ""},
		"an unknown key":            {"replicas: 2", "replicas"},
		"an unknown nested key":     {"persistence: {database: {sise: 1Gi}}", "sise"},
		"a sub-path":                {"store: {url: 'http://shop.example/sub'}", "store/url"},
		"a country":                 {"catalog: {country: us:ca}", ""},
		"a country's name":          {"catalog: {country: Germany}", "catalog/country"},
		"a currency's name":         {"catalog: {currency: Euro}", "catalog/currency"},
		"an escape sequence":        {`store: {title: "a\e[1mb"}`, "store/title"},
		"a plugin by URL":           {pluginURL, ""},
		"a plugin without checksum": {"plugin: {url: 'https://mirror.example/shop.zip'}", "plugin.sha256"},
		"a short checksum":          {"plugin: {sha256: abc}", "plugin/sha256"},
		"a plugin's path":           {"plugin: {slug: ../x}", "plugin/slug"},
		"a plugin from two places":  {"plugin: {url: 'https://mirror.example/shop.zip', sha256: " + checksum + ", existingClaim: plugins}", "not both"},
		"never a cron":              {"cron: {everyMinutes: 0}", "everyMinutes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := renderText(t, "woocommerce", withSecret+tc.values)
			wantRefused(t, tc.refused, err)
		})
	}
}

func TestWooCommerceSecrets(t *testing.T) {
	t.Parallel()
	if _, err := renderChart(t, "woocommerce", nil); err == nil || !strings.Contains(err.Error(), "kubectl --namespace store-flowers create secret generic") {
		t.Errorf("without a Secret: got %v, want the command that makes it", err)
	}
	objects := woo(t, "")
	promised := regexp.MustCompile("^(admin-email|admin-password|database-password|salts)$")
	for owner, pod := range pods(objects) {
		for _, container := range containers(pod.Spec) {
			for _, env := range container.Env {
				if env.ValueFrom == nil {
					continue
				}
				if ref := env.ValueFrom.SecretKeyRef; ref.Name != "store-credentials" || !promised.MatchString(ref.Key) {
					t.Errorf("%s/%s: %s is read from key %q of Secret %q", owner, container.Name, env.Name, ref.Key, ref.Name)
				}
				// Only what makes the owner's account learns the password.
				if strings.HasPrefix(env.Name, "ADMIN_") && container.Name != "bootstrap" {
					t.Errorf("%s/%s is given %s", owner, container.Name, env.Name)
				}
			}
		}
	}
	for _, o := range objects {
		if secret, ok := o.(*corev1.Secret); ok {
			t.Errorf("the chart makes Secret %s", secret.Name)
		}
	}
}

func TestWooCommercePodSecurity(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{"baked plugin": "", "plugin by URL": pluginURL, "plugin on a volume": pluginOnPV} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := woo(t, values)
			assertRestricted(t, objects)
			for owner, pod := range pods(objects) {
				if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
					t.Errorf("%s mounts a token of the Kubernetes API", owner)
				}
			}
		})
	}
}

// The plan's quota: 2 CPUs and 4Gi of limits, five volumes and 20Gi of storage. The
// Job of the CronJob comes beside the others, helm test's pod once bootstrap is done.
func TestWooCommerceFitsItsQuota(t *testing.T) {
	t.Parallel()
	assertFitsQuota(t, woo(t, pluginURL))
}

// A probe that meets a redirect, or a liveness that asks the database, takes a shop
// down that is well.
func TestWooCommerceProbes(t *testing.T) {
	t.Parallel()
	app := find[*appsv1.Deployment](t, woo(t, "store: {url: 'https://flowers.example.com'}"), "wordpress").Spec.Template.Spec.Containers[0]
	for name, probe := range map[string]*corev1.Probe{"startup": app.StartupProbe, "readiness": app.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/ready/database" {
			t.Errorf("the %s probe is %v, want GET /ready/database", name, probe)
			continue
		}
		want := []corev1.HTTPHeader{{Name: "Host", Value: "flowers.example.com"}, {Name: "X-Forwarded-Proto", Value: "https"}}
		if diff := cmp.Diff(want, probe.HTTPGet.HTTPHeaders); diff != "" {
			t.Errorf("headers of the %s probe (-want +got):\n%s", name, diff)
		}
	}
	if app.LivenessProbe == nil || app.LivenessProbe.TCPSocket == nil {
		t.Errorf("the liveness probe is %v, want the port alone", app.LivenessProbe)
	}
}

// WordPress shows its installation to whoever comes first; so nobody may come before
// bootstrap is done.
func TestWooCommerceWaitsForBootstrap(t *testing.T) {
	t.Parallel()
	for _, values := range []string{"", pluginURL} {
		init := find[*appsv1.Deployment](t, woo(t, values), "wordpress").Spec.Template.Spec.InitContainers
		if last := init[len(init)-1]; !slices.Equal(last.Args, []string{"php", "bin/await-prepared.php"}) {
			t.Errorf("the last container before the server runs %v", last.Args)
		}
	}
}

// Everything that runs the shop's code must have the same plugin.
func TestWooCommercePlugin(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values  string
		mounted bool
	}{
		"part of the image": {"", false},
		"by URL":            {pluginURL, true},
		"on a volume":       {pluginOnPV, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for owner, pod := range pods(woo(t, tc.values)) {
				for _, container := range containers(pod.Spec) {
					if !slices.Contains([]string{"bootstrap", "wait", "wordpress"}, container.Name) {
						continue
					}
					mounted := slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool {
						return m.MountPath == "/usr/src/wordpress/wp-content/plugins/woocommerce" && m.SubPath == "woocommerce" && m.ReadOnly
					})
					if mounted != tc.mounted {
						t.Errorf("%s/%s has the plugin mounted: %v", owner, container.Name, mounted)
					}
				}
			}
		})
	}
}

func TestWooCommerceTitles(t *testing.T) {
	t.Parallel()
	for name, title := range map[string]string{
		"HTML":       `<script>alert("1")</script> & <b>'`,
		"shell":      `"; rm -rf / #$(id)` + "`id`" + `\ $HOME '`,
		"Kubernetes": "$(ADMIN_PASSWORD) $$(DATABASE_PASSWORD)",
		"templates":  "{{ .Values.existingSecret }} {{- fail }} %s %d",
		"YAML":       "- a: {b: [c]} # d\n---\n...\n!!binary |\n  ? *x &y",
		"Unicode":    "Bäckerei 花屋 🌷 \u2028\ufeff\u202e\u00a0",
		"a number":   "1e3",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := renderChart(t, "woocommerce", map[string]any{
				"existingSecret": "store-credentials",
				"store":          map[string]any{"title": title},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := find[*corev1.ConfigMap](t, decode(t, files), "settings").Data["STORE_TITLE"]; got != title {
				t.Errorf("got %q, want %q", got, title)
			}
		})
	}
}

// A Job cannot be changed, so its name must change with what it runs, and with
// nothing else. A new title must not take the shop down, a new URL must reach it.
func TestWooCommerceChanges(t *testing.T) {
	t.Parallel()
	job := func(values string) string { return find[*batchv1.Job](t, woo(t, values), "bootstrap-").Name }
	server := func(values string) corev1.PodTemplateSpec {
		return find[*appsv1.Deployment](t, woo(t, values), "wordpress").Spec.Template
	}
	for what, tc := range map[string]struct {
		values            string
		sameJob, sameShop bool
	}{
		"an image":             {"image: {tag: '9'}", false, false},
		"a plugin":             {pluginURL, false, false},
		"a title":              {"store: {title: New}", false, true},
		"a URL":                {"store: {url: 'https://new.example.com'}", false, false},
		"a route":              {"route: {type: ingress}", true, true},
		"the cron's frequency": {"cron: {everyMinutes: 7}", true, true},
	} {
		if same := job(tc.values) == job(""); same != tc.sameJob {
			t.Errorf("%s: the Job keeps its name: %v", what, same)
		}
		if same := cmp.Equal(server(tc.values), server("")); same != tc.sameShop {
			t.Errorf("%s: the server goes on: %v", what, same)
		}
	}
}

func TestWooCommerceHibernated(t *testing.T) {
	t.Parallel()
	objects := woo(t, "hibernated: true")
	if n := *find[*appsv1.Deployment](t, objects, "wordpress").Spec.Replicas; n != 0 {
		t.Errorf("wordpress has %d replicas", n)
	}
	if n := *find[*appsv1.StatefulSet](t, objects, "mariadb").Spec.Replicas; n != 0 {
		t.Errorf("mariadb has %d replicas", n)
	}
	if !*find[*batchv1.CronJob](t, objects, "cron").Spec.Suspend {
		t.Error("the CronJob goes on")
	}
	for _, o := range objects {
		if job, ok := o.(*batchv1.Job); ok {
			t.Errorf("Job %s waits for a database that sleeps", job.Name)
		}
	}
}

func TestWooCommerceVolumes(t *testing.T) {
	t.Parallel()
	testVolumes(t, func(values string) []object { return woo(t, values) })
}

func TestWooCommerceRoute(t *testing.T) {
	t.Parallel()
	ingress := find[*networkingv1.Ingress](t, woo(t, "store: {url: 'https://flowers.example.com:8443'}\nroute: {type: ingress}"), "storefront")
	if got := ingress.Spec.Rules[0].Host; got != "flowers.example.com" {
		t.Errorf("the Ingress is for host %q", got)
	}
	if _, err := renderText(t, "woocommerce", withSecret+"route: {type: gateway}"); err == nil || !strings.Contains(err.Error(), "route.gateway.parent.name") {
		t.Errorf("a route without a Gateway: %v", err)
	}
}

// What the policies let through, pod by pod. Everything that is not in these lists
// is denied.
func TestWooCommerceNetworkPolicies(t *testing.T) {
	t.Parallel()
	dns := "namespace kubernetes.io/metadata.name=kube-system: 53/UDP 53/TCP"
	mirror := "namespace mirror=true: 443"
	objects := woo(t, "plugin: {egress: [{to: [{namespaceSelector: {matchLabels: {mirror: 'true'}}}], ports: [{port: 443}]}]}")
	want := map[string]traffic{
		"wordpress": {
			ingress: []string{"pod order: http", "pod cron: http", "namespace platform.dev/reaches-stores=true: http"},
			egress:  []string{dns, "pod mariadb: mariadb", mirror},
		},
		"mariadb":   {ingress: []string{"pod wordpress: mariadb", "pod bootstrap: mariadb", "pod backup: mariadb", "pod restore: mariadb"}},
		"backup":    {egress: []string{dns, "pod mariadb: mariadb"}},
		"restore":   {egress: []string{dns, "pod mariadb: mariadb"}},
		"bootstrap": {egress: []string{dns, "pod mariadb: mariadb", mirror}},
		"order":     {egress: []string{dns, "pod wordpress: http"}},
		"cron":      {egress: []string{dns, "pod wordpress: http"}},
	}
	wantTraffic(t, objects, want)
}
