package charts

import (
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// load reads a chart as the provisioner does: from the embedded files.
func load(t *testing.T, name string) *chart.Chart {
	t.Helper()
	var files []*loader.BufferedFile
	err := fs.WalkDir(FS(), name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(FS(), path)
		files = append(files, &loader.BufferedFile{Name: strings.TrimPrefix(path, name+"/"), Data: data})
		return err
	})
	if err != nil {
		t.Fatalf("reading chart %s: %v", name, err)
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatalf("loading chart %s: %v", name, err)
	}
	return loaded
}

// renderText renders an engine's chart with values given as YAML.
func renderText(t *testing.T, name, values string) (map[string]string, error) {
	t.Helper()
	var given map[string]any
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatalf("reading values: %v", err)
	}
	return renderChart(t, name, given)
}

// renderChart renders an engine's chart as the provisioner does.
func renderChart(t *testing.T, name string, given map[string]any) (map[string]string, error) {
	t.Helper()
	loaded := load(t, name)
	release := chartutil.ReleaseOptions{Name: "shop", Namespace: "store-flowers", Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(loaded, given, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(loaded, values)
}

// wantRefused checks that values were refused by an error with the words, or taken if
// there are none.
func wantRefused(t *testing.T, words string, err error) {
	t.Helper()
	if words == "" && err != nil {
		t.Errorf("refused: %v", err)
	}
	if words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
		t.Errorf("got %v, want an error that names %q", err, words)
	}
}

// object is one rendered object of whatever kind.
type object interface {
	runtime.Object
	metav1.Object
}

// render renders the chart medusa and decodes every object, strictly.
func render(t *testing.T, values string) []object {
	t.Helper()
	files, err := renderText(t, "medusa", values)
	if err != nil {
		t.Fatalf("rendering: %v", err)
	}
	return decode(t, files)
}

func decode(t *testing.T, files map[string]string) []object {
	t.Helper()
	var objects []object
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		documents := releaseutil.SplitManifests(files[path])
		names := slices.Collect(maps.Keys(documents))
		sort.Sort(releaseutil.BySplitManifestsOrder(names))
		for _, name := range names {
			objects = append(objects, decodeOne(t, path, documents[name]))
		}
	}
	return objects
}

func decodeOne(t *testing.T, path, document string) object {
	t.Helper()
	loose := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(document), &loose.Object); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, document)
	}
	typed, err := scheme.Scheme.New(loose.GroupVersionKind())
	if err != nil {
		return loose // of a custom resource
	}
	if err := yaml.UnmarshalStrict([]byte(document), typed); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, document)
	}
	return typed.(object)
}

// find returns the object of type T with that name, or fails the test. A name that
// ends in "-" stands for those that begin with it, which end in a hash.
func find[T object](t *testing.T, objects []object, name string) T {
	t.Helper()
	for _, o := range objects {
		typed, ok := o.(T)
		if ok && (o.GetName() == name || strings.HasSuffix(name, "-") && strings.HasPrefix(o.GetName(), name)) {
			return typed
		}
	}
	var none T
	t.Fatalf("no %T named %s", none, name)
	return none
}

// pods returns the pods that the objects run, by the name of their owner.
func pods(objects []object) map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			found[o.Name] = o.Spec.Template
		case *appsv1.StatefulSet:
			found[o.Name] = o.Spec.Template
		case *batchv1.Job:
			found[o.Name] = o.Spec.Template
		case *batchv1.CronJob:
			found[o.Name] = o.Spec.JobTemplate.Spec.Template
		case *corev1.Pod:
			found[o.Name] = corev1.PodTemplateSpec{ObjectMeta: o.ObjectMeta, Spec: o.Spec}
		}
	}
	return found
}

func containers(pod corev1.PodSpec) []corev1.Container {
	return slices.Concat(pod.InitContainers, pod.Containers)
}

// assertRestricted fails the test for every pod that is not of the restricted pod
// security standard, or that can write to its image.
func assertRestricted(t *testing.T, objects []object) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for owner, pod := range pods(objects) {
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			t.Errorf("%s is not restricted: %s", owner, result.ForbiddenDetail())
		}
		for _, container := range containers(pod.Spec) {
			if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
				t.Errorf("%s/%s can write to its image", owner, container.Name)
			}
		}
	}
}

// A chart has to stand for itself, so what the charts of engines share is there twice.
// It stays the same but for the chart's name.
func TestSharedTemplatesAreTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"route.yaml", "serviceaccount.yaml", "settings.yaml"} {
		text := map[string]string{}
		for _, chart := range []string{"medusa", "woocommerce"} {
			file, err := fs.ReadFile(FS(), chart+"/templates/"+name)
			if err != nil {
				t.Fatal(err)
			}
			text[chart] = strings.ReplaceAll(string(file), chart+".", "chart.")
		}
		if diff := cmp.Diff(text["medusa"], text["woocommerce"]); diff != "" {
			t.Errorf("%s (-medusa +woocommerce):\n%s", name, diff)
		}
	}
}
