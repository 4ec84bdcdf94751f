package charts

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const withSecret = "existingSecret: store-credentials\n"

func TestMedusaSchema(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values, refused string
	}{
		"the defaults":          {"", ""},
		"a sub-path":            {"store: {url: 'http://shop.example/sub'}", "store/url"},
		"an unknown scheme":     {"store: {url: 'ftp://shop.example'}", "store/url"},
		"a port":                {"store: {url: 'http://shop.localhost:8080'}", ""},
		"an unknown key":        {"replicas: 2", "replicas"},
		"an unknown nested key": {"persistence: {database: {sise: 1Gi}}", "sise"},
		"a misspelt route":      {"route: {type: ingres}", "route/type"},
		"a missing limit":       {"resources: {test: {limits: {cpu: null}}}", "cpu"},
		"no country":            {"catalog: {countries: []}", "countries"},
		"a NUL in the title":    {`store: {title: "a\0b"}`, "store/title"},
		"an escape sequence":    {`store: {title: "a\e[1mb"}`, "store/title"},
		"a DEL in the title":    {`store: {title: "a\x7fb"}`, "store/title"},
		"a NEL in the title":    {`store: {title: "a\x85b"}`, "store/title"},
		"a short digest":        {"image: {digest: 'sha256:12'}", "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := renderText(t, "medusa", withSecret+tc.values)
			wantRefused(t, tc.refused, err)
		})
	}
}

func TestMedusaAsksForItsSecret(t *testing.T) {
	t.Parallel()
	_, err := renderText(t, "medusa", "")
	if err == nil || !strings.Contains(err.Error(), "kubectl --namespace store-flowers create secret generic") {
		t.Errorf("got %v, want the command that makes the Secret", err)
	}
}

func TestMedusaMakesNoSecret(t *testing.T) {
	t.Parallel()
	objects := render(t, withSecret)
	for _, o := range objects {
		if secret, ok := o.(*corev1.Secret); ok {
			t.Errorf("the chart makes Secret %s", secret.Name)
		}
	}
	promised := regexp.MustCompile("^(admin-email|admin-password|database-password|jwt-secret|cookie-secret|publishable-key)$")
	for owner, pod := range pods(objects) {
		for _, container := range containers(pod.Spec) {
			for _, env := range container.Env {
				if env.ValueFrom == nil {
					continue
				}
				ref := env.ValueFrom.SecretKeyRef
				if ref.Name != "store-credentials" || !promised.MatchString(ref.Key) {
					t.Errorf("%s/%s: %s is read from key %q of Secret %q", owner, container.Name, env.Name, ref.Key, ref.Name)
				}
			}
		}
	}
}

// What differs from one rendering to the next would restart the shop, or lock it
// out, at every reconciliation; what reads the cluster cannot be rendered without.
func TestMedusaRendersTheSameEveryTime(t *testing.T) {
	t.Parallel()
	first, err := renderText(t, "medusa", withSecret)
	if err != nil {
		t.Fatal(err)
	}
	second, err := renderText(t, "medusa", withSecret)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two renderings differ:\n%s", diff)
	}
	impure := regexp.MustCompile(`\b(rand\w+|gen[A-Z]\w+|derivePassword|uuidv4|now|lookup|getHostByName)\b`)
	for _, file := range load(t, "medusa").Templates {
		if file.Name == "templates/NOTES.txt" {
			continue
		}
		// Actions only: words of a comment or of a message do no harm.
		for _, action := range regexp.MustCompile(`(?s){{-? [^/].*?}}`).FindAllString(string(file.Data), -1) {
			if found := impure.FindString(regexp.MustCompile("(?s)\".*?\"|`.*?`").ReplaceAllString(action, "")); found != "" {
				t.Errorf("%s calls %s", file.Name, found)
			}
		}
	}
}

func TestMedusaPodSecurity(t *testing.T) {
	t.Parallel()
	objects := render(t, withSecret)
	assertRestricted(t, objects)
	for owner, pod := range pods(objects) {
		if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
			t.Errorf("%s mounts a token of the Kubernetes API", owner)
		}
	}
}

func TestMedusaFitsItsQuota(t *testing.T) {
	t.Parallel()
	assertFitsQuota(t, render(t, withSecret))
}

// assertFitsQuota fails the test if the objects are more than the plan's quota: 2
// CPUs and 4Gi of limits, and what fitsStorage checks. Of the jobs that the platform
// and its users start, one runs at a time.
func assertFitsQuota(t *testing.T, objects []object) {
	t.Helper()
	started := map[string]bool{}
	for _, o := range objects {
		switch o := o.(type) {
		case *batchv1.Job:
			started[o.Name] = true
		case *corev1.Pod:
			started[o.Name] = true
		case *batchv1.CronJob:
			started[o.Name] = *o.Spec.Suspend
		}
	}
	cpu, memory, mostCPU, mostMemory := resource.Quantity{}, resource.Quantity{}, resource.Quantity{}, resource.Quantity{}
	for owner, pod := range pods(objects) {
		podCPU, podMemory := podLimits(t, owner, pod.Spec)
		if !started[owner] {
			cpu.Add(podCPU)
			memory.Add(podMemory)
			continue
		}
		if podCPU.Cmp(mostCPU) > 0 {
			mostCPU = podCPU
		}
		if podMemory.Cmp(mostMemory) > 0 {
			mostMemory = podMemory
		}
	}
	cpu.Add(mostCPU)
	memory.Add(mostMemory)
	if cpu.Cmp(resource.MustParse("2")) > 0 || memory.Cmp(resource.MustParse("4Gi")) > 0 {
		t.Errorf("limits add up to %s CPUs and %s", cpu.String(), memory.String())
	}

	fitsStorage(t, objects)
}

// fitsStorage checks the volumes against the plan's quota, where every claim is an
// object of the release: those of a StatefulSet's templates could not grow.
func fitsStorage(t *testing.T, objects []object) {
	t.Helper()
	storage, claims := resource.Quantity{}, 0
	for _, object := range objects {
		switch o := object.(type) {
		case *corev1.PersistentVolumeClaim:
			storage.Add(*o.Spec.Resources.Requests.Storage())
			claims++
		case *appsv1.StatefulSet:
			if len(o.Spec.VolumeClaimTemplates) > 0 {
				t.Errorf("StatefulSet %s has claims that cannot grow", o.Name)
			}
		}
	}
	if storage.Cmp(resource.MustParse("20Gi")) > 0 || claims > 5 {
		t.Errorf("%d volumes add up to %s", claims, storage.String())
	}
}

// podLimits are what a quota counts: init containers run before the others.
func podLimits(t *testing.T, owner string, pod corev1.PodSpec) (cpu, memory resource.Quantity) {
	t.Helper()
	for _, container := range containers(pod) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := container.Resources.Requests[name], container.Resources.Limits[name]
			if request.IsZero() || limit.IsZero() || request.Cmp(limit) > 0 {
				t.Errorf("%s/%s: request %s and limit %s of %s", owner, container.Name, request.String(), limit.String(), name)
			}
		}
	}
	for _, container := range pod.Containers {
		cpu.Add(*container.Resources.Limits.Cpu())
		memory.Add(*container.Resources.Limits.Memory())
	}
	for _, container := range pod.InitContainers {
		if limit := container.Resources.Limits.Cpu(); limit.Cmp(cpu) > 0 {
			cpu = *limit
		}
		if limit := container.Resources.Limits.Memory(); limit.Cmp(memory) > 0 {
			memory = *limit
		}
	}
	return cpu, memory
}

func TestMedusaProbes(t *testing.T) {
	t.Parallel()
	objects := render(t, withSecret)
	app := find[*appsv1.Deployment](t, objects, "medusa").Spec.Template.Spec.Containers[0]
	for _, tc := range []struct {
		name, path string
		probe      *corev1.Probe
	}{
		{"startup", "/health", app.StartupProbe},
		{"liveness", "/health", app.LivenessProbe},
		{"readiness", "/ready/database", app.ReadinessProbe},
	} {
		if tc.probe == nil || tc.probe.HTTPGet == nil || tc.probe.HTTPGet.Path != tc.path {
			t.Errorf("the %s probe is %v, want GET %s", tc.name, tc.probe, tc.path)
		}
	}
	if budget := app.StartupProbe.PeriodSeconds * app.StartupProbe.FailureThreshold; budget < 120 {
		t.Errorf("Medusa has %d s to start; on half a CPU it needs 16, on a busy node many times that", budget)
	}
	database := find[*appsv1.StatefulSet](t, objects, "postgres").Spec.Template.Spec.Containers[0]
	if database.StartupProbe == nil || database.LivenessProbe == nil || database.ReadinessProbe == nil {
		t.Error("the database lacks a probe")
	}
}

func TestMedusaTitles(t *testing.T) {
	t.Parallel()
	for name, title := range map[string]string{
		"HTML":       `<script>alert("1")</script> & <b>'`,
		"shell":      `"; rm -rf / #$(id)` + "`id`" + `\ $HOME '`,
		"Kubernetes": "$(ADMIN_PASSWORD) $$(DATABASE_PASSWORD)",
		"templates":  "{{ .Values.existingSecret }} {{- fail }} %s %d",
		"YAML":       "- a: {b: [c]} # d\n---\n...\n!!binary |\n  ? *x &y",
		"line ends":  "one\ntwo\r\nthree\t\n\n",
		"spaces":     "  both ends  ",
		"Unicode":    "Bäckerei 花屋 🌷 \u2028\ufeff\u202e\u00a0",
		"a number":   "1e3",
		"null":       "null",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := renderChart(t, "medusa", map[string]any{
				"existingSecret": "store-credentials",
				"store":          map[string]any{"title": title},
			})
			if err != nil {
				t.Fatal(err)
			}
			objects := decode(t, files)
			if got := find[*corev1.ConfigMap](t, objects, "settings").Data["STORE_TITLE"]; got != title {
				t.Errorf("got %q, want %q", got, title)
			}
			for owner, pod := range pods(objects) {
				for _, container := range containers(pod.Spec) {
					for _, env := range container.Env {
						if env.Name == "STORE_TITLE" {
							t.Errorf("%s/%s takes the title as a literal, which Kubernetes expands", owner, container.Name)
						}
					}
				}
			}
		})
	}
}

func TestMedusaSettings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values, key, want string
	}{
		"a title":                  {"store: {name: flowers, title: Flowers}", "STORE_TITLE", "Flowers"},
		"no title":                 {"store: {name: flowers}", "STORE_TITLE", "flowers"},
		"cookies over http":        {"store: {url: 'http://flowers.localhost:8080'}", "COOKIE_SECURE", "false"},
		"cookies over https":       {"store: {url: 'https://flowers.example.com'}", "COOKIE_SECURE", "true"},
		"countries":                {"catalog: {countries: [dk, se]}", "STORE_COUNTRIES", "dk,se"},
		"a shop without a product": {"catalog: {sampleProducts: false}", "STORE_SAMPLE_PRODUCTS", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := find[*corev1.ConfigMap](t, render(t, withSecret+tc.values), "settings")
			if got := settings.Data[tc.key]; got != tc.want {
				t.Errorf("%s is %q, want %q", tc.key, got, tc.want)
			}
		})
	}
}

// A Job cannot be changed, so its name must change with what it runs, and with
// nothing else: each new name is another run.
func TestMedusaBootstrapName(t *testing.T) {
	t.Parallel()
	name := func(values string) string {
		return find[*batchv1.Job](t, render(t, withSecret+values), "bootstrap-").Name
	}
	original := name("")
	for what, tc := range map[string]struct {
		values string
		same   bool
	}{
		"another image":           {"image: {tag: '9'}", false},
		"another title":           {"store: {title: New}", false},
		"other resources of it":   {"resources: {bootstrap: {limits: {cpu: 1}}}", false},
		"other resources of more": {"resources: {medusa: {limits: {cpu: 1}}}", true},
		"a route":                 {"route: {type: ingress}", true},
	} {
		if got := name(tc.values); (got == original) != tc.same {
			t.Errorf("%s: the name is %s, was %s", what, got, original)
		}
	}
}

// A new title must not take the shop down, a new URL must reach the server.
func TestMedusaRestarts(t *testing.T) {
	t.Parallel()
	template := func(values string) corev1.PodTemplateSpec {
		return find[*appsv1.Deployment](t, render(t, withSecret+values), "medusa").Spec.Template
	}
	original := template("")
	if diff := cmp.Diff(original, template("store: {title: New}")); diff != "" {
		t.Errorf("a new title restarts the server:\n%s", diff)
	}
	if cmp.Equal(original, template("store: {url: 'https://new.example.com'}")) {
		t.Error("a new URL does not restart the server")
	}
}

func TestMedusaHibernated(t *testing.T) {
	t.Parallel()
	objects := render(t, withSecret+"hibernated: true")
	if n := *find[*appsv1.Deployment](t, objects, "medusa").Spec.Replicas; n != 0 {
		t.Errorf("medusa has %d replicas", n)
	}
	if n := *find[*appsv1.StatefulSet](t, objects, "postgres").Spec.Replicas; n != 0 {
		t.Errorf("postgres has %d replicas", n)
	}
	find[*corev1.PersistentVolumeClaim](t, objects, "uploads")
	for _, o := range objects {
		if job, ok := o.(*batchv1.Job); ok {
			t.Errorf("Job %s waits for a database that sleeps", job.Name)
		}
	}
}

func TestMedusaVolumes(t *testing.T) {
	t.Parallel()
	testVolumes(t, func(values string) []object { return render(t, withSecret+values) })
}

// testVolumes checks that a chart's volumes are as large as asked for, and stay
// when the release goes if they are to be retained.
func testVolumes(t *testing.T, render func(values string) []object) {
	t.Helper()
	for _, retain := range []bool{false, true} {
		objects := render(fmt.Sprintf("persistence: {retain: %t, database: {size: 7Gi}, uploads: {size: 3Gi, storageClassName: slow}, backups: {size: 6Gi}}", retain))
		for name, size := range map[string]string{"database": "7Gi", "uploads": "3Gi", "backups": "6Gi"} {
			claim := find[*corev1.PersistentVolumeClaim](t, objects, name)
			if got := claim.Spec.Resources.Requests.Storage().String(); got != size {
				t.Errorf("volume %s has %s, want %s", name, got, size)
			}
			if _, kept := claim.Annotations["helm.sh/resource-policy"]; kept != retain {
				t.Errorf("volume %s is kept: %t, want %t", name, kept, retain)
			}
		}
		if class := find[*corev1.PersistentVolumeClaim](t, objects, "uploads").Spec.StorageClassName; class == nil || *class != "slow" {
			t.Errorf("the uploads' class is %v", class)
		}
	}
}

// Two pods at once would work on the same data.
func TestDataJobsHaveOnePodAtATime(t *testing.T) {
	t.Parallel()
	for chart, objects := range map[string][]object{"medusa": render(t, withSecret), "woocommerce": woo(t, "")} {
		for _, name := range []string{"backup", "restore"} {
			policy := find[*batchv1.CronJob](t, objects, name).Spec.JobTemplate.Spec.PodReplacementPolicy
			if policy == nil || *policy != batchv1.Failed {
				t.Errorf("%s: Job %s replaces its pods before they have ended", chart, name)
			}
		}
	}
}

func TestMedusaRoute(t *testing.T) {
	t.Parallel()
	const shop = withSecret + "store: {url: 'https://flowers.example.com:8443'}\n"

	ingress := find[*networkingv1.Ingress](t, render(t, shop+"route: {type: ingress, ingress: {className: fast, tls: {enabled: true}}}"), "storefront")
	if got := ingress.Spec.Rules[0].Host; got != "flowers.example.com" {
		t.Errorf("the Ingress is for host %q", got)
	}
	if *ingress.Spec.IngressClassName != "fast" || ingress.Spec.TLS[0].Hosts[0] != "flowers.example.com" {
		t.Errorf("the Ingress has class %q and TLS %v", *ingress.Spec.IngressClassName, ingress.Spec.TLS)
	}

	route := find[*unstructured.Unstructured](t, render(t, shop+"route: {type: gateway, gateway: {parent: {name: public, namespace: edge}}}"), "storefront")
	hosts, _, _ := unstructured.NestedStringSlice(route.Object, "spec", "hostnames")
	parents, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	if diff := cmp.Diff([]string{"flowers.example.com"}, hosts); diff != "" {
		t.Errorf("hostnames of the HTTPRoute (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{map[string]any{"name": "public", "namespace": "edge"}}, parents); diff != "" {
		t.Errorf("parents of the HTTPRoute (-want +got):\n%s", diff)
	}
	if _, err := renderText(t, "medusa", shop+"route: {type: gateway}"); err == nil || !strings.Contains(err.Error(), "route.gateway.parent.name") {
		t.Errorf("a route without a Gateway: %v", err)
	}

	for _, o := range render(t, shop) {
		if kind := o.GetObjectKind().GroupVersionKind().Kind; kind == "Ingress" || kind == "HTTPRoute" {
			t.Errorf("route.type none makes a %s", kind)
		}
	}
}
