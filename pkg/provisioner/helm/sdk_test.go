package helm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/chart"
)

// kubeconfigEnv names the kubeconfig of a cluster that these tests may make
// namespaces in. An API server with etcd is enough; nothing has to run.
const kubeconfigEnv = "STORES_TEST_KUBECONFIG"

// onCluster returns an SDK for a real API server, and an empty namespace.
func onCluster(t *testing.T) (*SDK, kubernetes.Interface, string) {
	t.Helper()
	path := os.Getenv(kubeconfigEnv)
	if path == "" {
		t.Skipf("%s names no cluster", kubeconfigEnv)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := NewSDK(config)
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	namespace, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "helm-test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
	})
	return sdk, client, namespace.Name
}

func request(t *testing.T, namespace string, values map[string]any) Request {
	t.Helper()
	shop, err := chart.NewCharts(os.DirFS("../../chart/testdata/charts")).Load(t.Context(), chart.Source{Builtin: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Namespace: namespace, Name: "store", Chart: shop, Values: values,
		Labels: map[string]string{"platform.dev/values-digest": "d1"}, Description: "test",
	}
}

func object(apiVersion, kind, name string) Object {
	return Object{APIVersion: apiVersion, Kind: kind, Name: name}
}

// wantVersions checks that an action has told the versions that its objects have.
func wantVersions(t *testing.T, client kubernetes.Interface, namespace string, rel *Release) {
	t.Helper()
	told := map[string]string{}
	for _, o := range rel.Objects {
		told[o.Kind+" "+o.Name] = o.ResourceVersion
	}
	config, err1 := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	service, err2 := client.CoreV1().Services(namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if told["ConfigMap shop"] != config.ResourceVersion || told["Service shop"] != service.ResourceVersion {
		t.Errorf("revision %d told of the versions %v, want %s of the ConfigMap and %s of the Service", rel.Revision, told, config.ResourceVersion, service.ResourceVersion)
	}
}

// title is what the release's ConfigMap and Deployment show, if they agree.
func title(t *testing.T, client kubernetes.Interface, namespace string) string {
	t.Helper()
	config, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	deployment, err := client.AppsV1().Deployments(namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if env := deployment.Spec.Template.Spec.Containers[0].Env[0].Value; env != config.Data["title"] {
		t.Fatalf("the Deployment shows %q, the ConfigMap %q", env, config.Data["title"])
	}
	return config.Data["title"]
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()

	if _, err := sdk.Get(ctx, ns, "store"); !errors.Is(err, ErrReleaseNotFound) {
		t.Fatalf("Get before the install: got %v, want ErrReleaseNotFound", err)
	}
	want := `{"quotes"}: - a,b=c {{ .Values.x }} $(id) 花 <b>`
	rel, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": want, "extra": true}))
	if err != nil || rel.Revision != 1 || rel.Status != StatusDeployed {
		t.Fatalf("Install: got %+v, %v", rel, err)
	}
	if got := title(t, client, ns); got != want {
		t.Errorf("the title is %q, want %q", got, want)
	}
	wantVersions(t, client, ns, rel)
	got, err := sdk.Get(ctx, ns, "store")
	if err != nil || got.Revision != 1 || got.Status != StatusDeployed || got.Labels["platform.dev/values-digest"] != "d1" {
		t.Errorf("Get: got %+v, %v", got, err)
	}
	objects, err := sdk.Objects(ctx, ns, "store", 1)
	if err != nil {
		t.Fatalf("Objects: %v", err)
	}
	if diff := cmp.Diff([]Object{object("v1", "ConfigMap", "shop"), object("v1", "ConfigMap", "extra"), object("v1", "Service", "shop"), object("apps/v1", "Deployment", "shop")}, objects, cmp.Transformer("set", func(in []Object) map[Object]bool {
		out := map[Object]bool{}
		for _, o := range in {
			out[o] = true
		}
		return out
	})); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}

	for revision := 2; revision <= 5; revision++ {
		rel, err = sdk.Upgrade(ctx, request(t, ns, map[string]any{"title": fmt.Sprint("t", revision)}))
		if err != nil || rel.Revision != revision || rel.Status != StatusDeployed {
			t.Fatalf("Upgrade: got %+v, %v", rel, err)
		}
		wantVersions(t, client, ns, rel)
	}
	if got := title(t, client, ns); got != "t5" {
		t.Errorf("the title is %q, want t5", got)
	}
	if _, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "extra", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the object that left the chart is still there: %v", err)
	}
	secrets, err := client.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil || len(secrets.Items) != maxHistory {
		t.Errorf("%d revisions are stored (error %v), want %d", len(secrets.Items), err, maxHistory)
	}

	for range 2 {
		if err := sdk.Uninstall(ctx, ns, "store"); err != nil {
			t.Fatalf("Uninstall: %v", err)
		}
	}
	if _, err := client.AppsV1().Deployments(ns).Get(ctx, "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment is still there: %v", err)
	}
	if _, err := sdk.Get(ctx, ns, "store"); !errors.Is(err, ErrReleaseNotFound) {
		t.Errorf("Get after the uninstall: got %v, want ErrReleaseNotFound", err)
	}
}

// rewrite changes the newest revision as it is stored, to leave the release in
// the state that a process killed at some point would have left.
func rewrite(t *testing.T, client kubernetes.Interface, namespace string, revision int, status release.Status) {
	t.Helper()
	secrets := driver.NewSecrets(client.CoreV1().Secrets(namespace))
	key := fmt.Sprintf("sh.helm.release.v1.store.v%d", revision)
	rel, err := secrets.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	rel.Info.Status = status
	if err := secrets.Update(key, rel); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedReleasesRecover(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// upgraded is true if the interrupted action is an upgrade to revision 2.
		upgraded bool
		statuses map[int]release.Status
		// lost are the objects that the interrupted action had not made yet.
		lost []string
	}{
		"install, nothing made":                {false, map[int]release.Status{1: release.StatusPendingInstall}, []string{"config", "service", "deployment"}},
		"install, some objects made":           {false, map[int]release.Status{1: release.StatusPendingInstall}, []string{"deployment"}},
		"install, all made, not stored":        {false, map[int]release.Status{1: release.StatusPendingInstall}, nil},
		"upgrade, some objects made":           {true, map[int]release.Status{1: release.StatusDeployed, 2: release.StatusPendingUpgrade}, []string{"deployment"}},
		"upgrade, all made, nothing stored":    {true, map[int]release.Status{1: release.StatusDeployed, 2: release.StatusPendingUpgrade}, nil},
		"upgrade, old revision superseded":     {true, map[int]release.Status{1: release.StatusSuperseded, 2: release.StatusPendingUpgrade}, nil},
		"rollback":                             {true, map[int]release.Status{1: release.StatusSuperseded, 2: release.StatusPendingRollback}, nil},
		"uninstall by hand, cut off":           {false, map[int]release.Status{1: release.StatusUninstalling}, []string{"service", "deployment"}},
		"uninstall by hand, with kept history": {false, map[int]release.Status{1: release.StatusUninstalled}, []string{"config", "service", "deployment"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdk, client, ns := onCluster(t)
			ctx := t.Context()
			if _, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": "before", "extra": true})); err != nil {
				t.Fatal(err)
			}
			if tc.upgraded {
				if _, err := sdk.Upgrade(ctx, request(t, ns, map[string]any{"title": "between", "extra": true})); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "extra", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for revision, status := range tc.statuses {
				rewrite(t, client, ns, revision, status)
			}
			for _, what := range tc.lost {
				switch what {
				case "config":
					err = client.CoreV1().ConfigMaps(ns).Delete(ctx, "shop", metav1.DeleteOptions{})
				case "service":
					err = client.CoreV1().Services(ns).Delete(ctx, "shop", metav1.DeleteOptions{})
				case "deployment":
					err = client.AppsV1().Deployments(ns).Delete(ctx, "shop", metav1.DeleteOptions{})
				}
				if err != nil {
					t.Fatal(err)
				}
			}

			again := request(t, ns, map[string]any{"title": "after", "extra": true})
			if rel, err := sdk.Upgrade(ctx, again); !errors.Is(err, ErrInterrupted) {
				t.Fatalf("Upgrade of the interrupted release: got %+v, %v, want ErrInterrupted", rel, err)
			}
			unlocked, err := sdk.Unlock(ctx, ns, "store", "the provisioner stopped")
			if err != nil || unlocked.Status != StatusFailed || unlocked.Revision != len(tc.statuses) {
				t.Fatalf("Unlock: got %+v, %v", unlocked, err)
			}
			rel, err := sdk.Upgrade(ctx, again)
			if err != nil || rel.Status != StatusDeployed || rel.Revision != unlocked.Revision+1 {
				t.Fatalf("Upgrade: got %+v, %v", rel, err)
			}
			if got := title(t, client, ns); got != "after" {
				t.Errorf("the title is %q, want after", got)
			}
			same, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "extra", metav1.GetOptions{})
			if err != nil || same.UID != kept.UID {
				t.Errorf("an object that was there was made anew (error %v)", err)
			}
			if unlocked, err := sdk.Unlock(ctx, ns, "store", ""); err != nil || unlocked.Status != StatusDeployed {
				t.Errorf("Unlock of a release at rest: got %+v, %v", unlocked, err)
			}
		})
	}
}

func TestFailedActionsRecover(t *testing.T) {
	t.Parallel()
	for name, installFirst := range map[string]bool{"install": false, "upgrade": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdk, client, ns := onCluster(t)
			ctx := t.Context()
			act, revision := sdk.Install, 1
			if installFirst {
				if _, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": "before"})); err != nil {
					t.Fatal(err)
				}
				act, revision = sdk.Upgrade, 2
			}
			// The API server refuses the Deployment's name, after the rest is made.
			rel, err := act(ctx, request(t, ns, map[string]any{"title": "broken", "bad": true}))
			if err == nil || rel == nil || rel.Status != StatusFailed || rel.Revision != revision {
				t.Fatalf("got %+v, %v, want a failed revision %d and an error", rel, err, revision)
			}
			for range 4 {
				if rel, err = sdk.Upgrade(ctx, request(t, ns, map[string]any{"title": "broken", "bad": true})); err == nil || rel.Status != StatusFailed {
					t.Fatalf("Upgrade: got %+v, %v, want a failed revision", rel, err)
				}
			}
			rel, err = sdk.Upgrade(ctx, request(t, ns, map[string]any{"title": "mended"}))
			if err != nil || rel.Status != StatusDeployed {
				t.Fatalf("Upgrade: got %+v, %v", rel, err)
			}
			if got := title(t, client, ns); got != "mended" {
				t.Errorf("the title is %q, want mended", got)
			}
		})
	}
}

// What failed actions have set goes when it is not asked for any more, though Helm only
// knows what the action before set, or the last that did not fail.
func TestFailedActionsLeaveNothingSet(t *testing.T) {
	t.Parallel()
	upgrade := func(t *testing.T, sdk *SDK, ns string) (*Release, error) {
		t.Helper()
		return sdk.Upgrade(t.Context(), request(t, ns, map[string]any{"title": "after"}))
	}
	rollback := func(t *testing.T, sdk *SDK, ns string) (*Release, error) {
		t.Helper()
		return sdk.Rollback(t.Context(), ns, "store", 1)
	}
	for name, tc := range map[string]struct {
		failed []int // ports of upgrades that fail after they have set it
		then   func(*testing.T, *SDK, string) (*Release, error)
	}{
		"an upgrade, then none":          {[]int{8080}, upgrade},
		"an upgrade, then back":          {[]int{8080}, rollback},
		"two upgrades, then none":        {[]int{8080, 9090}, upgrade},
		"there and back, and then none":  {[]int{8080, 80}, upgrade},
		"there and back, and then back":  {[]int{8080, 80}, rollback},
		"there and there, and then back": {[]int{8080, 8080}, rollback},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdk, client, ns := onCluster(t)
			if _, err := sdk.Install(t.Context(), request(t, ns, map[string]any{"title": "before"})); err != nil {
				t.Fatal(err)
			}
			for _, port := range tc.failed {
				if _, err := sdk.Upgrade(t.Context(), request(t, ns, map[string]any{"port": port, "bad": true})); err == nil {
					t.Fatal("an upgrade to what the API server refuses has not failed")
				}
			}
			if rel, err := tc.then(t, sdk, ns); err != nil || rel.Status != StatusDeployed {
				t.Fatalf("got %+v, %v", rel, err)
			}
			service, err := client.CoreV1().Services(ns).Get(t.Context(), "shop", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if ports := service.Spec.Ports; len(ports) != 1 || ports[0].Port != 80 {
				t.Errorf("the Service has the ports %+v, want 80 only", ports)
			}
		})
	}
}

func TestInstallAfterTheRecordWasRemoved(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()
	if _, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": "before"})); err != nil {
		t.Fatal(err)
	}
	before, err := client.AppsV1().Deployments(ns).Get(ctx, "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Secrets(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "owner=helm"}); err != nil {
		t.Fatal(err)
	}
	if rel, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": "after"})); err != nil || rel.Status != StatusDeployed {
		t.Fatalf("Install: got %+v, %v", rel, err)
	}
	after, err := client.AppsV1().Deployments(ns).Get(ctx, "shop", metav1.GetOptions{})
	if err != nil || after.UID != before.UID {
		t.Errorf("the Deployment was made anew (error %v)", err)
	}
	if got := title(t, client, ns); got != "after" {
		t.Errorf("the title is %q, want after", got)
	}
}

func TestInstallLeavesForeignObjectsAlone(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Data: map[string]string{"title": "mine"}}
	if _, err := client.CoreV1().ConfigMaps(ns).Create(ctx, foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if rel, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": "theirs"})); err == nil || rel != nil {
		t.Fatalf("Install: got %+v, %v, want an error before anything is stored", rel, err)
	}
	got, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "shop", metav1.GetOptions{})
	if err != nil || got.Data["title"] != "mine" {
		t.Errorf("the foreign object was changed: %v (error %v)", got.Data, err)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()
	install := request(t, ns, map[string]any{"title": "t1"})
	if _, err := sdk.Install(ctx, install); err != nil {
		t.Fatal(err)
	}
	// Revision 1 outlives the history's limit, revision 2 does not.
	for revision := 2; revision <= 6; revision++ {
		upgrade := request(t, ns, map[string]any{"title": fmt.Sprint("t", revision), "extra": true})
		upgrade.Labels, upgrade.Keep = map[string]string{"platform.dev/values-digest": "d2"}, 1
		if _, err := sdk.Upgrade(ctx, upgrade); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sdk.Rollback(ctx, ns, "store", 2); !errors.Is(err, ErrReleaseNotFound) {
		t.Errorf("Rollback to what is no more: got %v, want ErrReleaseNotFound", err)
	}
	rel, err := sdk.Rollback(ctx, ns, "store", 1)
	if err != nil || rel.Revision != 7 || rel.Status != StatusDeployed {
		t.Fatalf("Rollback: got %+v, %v", rel, err)
	}
	if got := title(t, client, ns); got != "t1" {
		t.Errorf("the title is %q, want t1", got)
	}
	if _, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "extra", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what only the later revisions had is still there (error %v)", err)
	}
	if got, err := sdk.Get(ctx, ns, "store"); err != nil || got.Revision != 7 || got.Labels["platform.dev/values-digest"] != "d1" {
		t.Errorf("Get: got %+v, %v, want revision 7 with the labels of revision 1", got, err)
	}
}

// An install in a namespace that should be untouched takes nothing over, and neither
// does the next one.
func TestInstallWhereSomethingIs(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()
	if _, err := client.AppsV1().Deployments(ns).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "mine"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "mine"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mine", Image: "mine:1"}}},
			},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := request(t, ns, map[string]any{"title": "Flowers"})
	r.Untouched = true
	if rel, err := sdk.Install(ctx, r); !apierrors.IsAlreadyExists(err) || rel != nil {
		t.Fatalf("the first install: got %+v, %v, want that something exists", rel, err)
	}
	if rel, err := sdk.Get(ctx, ns, "store"); !errors.Is(err, ErrReleaseNotFound) {
		t.Errorf("it has left %+v, %v", rel, err)
	}
	r.Untouched = false
	if _, err := sdk.Install(ctx, r); err == nil || !strings.Contains(err.Error(), "invalid ownership metadata") {
		t.Errorf("the second install: got %v, want a refusal to take the Deployment over", err)
	}
	if err := client.AppsV1().Deployments(ns).Delete(ctx, "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// What the first one has made until it failed is the release's own.
	if rel, err := sdk.Install(ctx, r); err != nil || rel.Status != StatusDeployed {
		t.Errorf("the install without it: got %+v, %v", rel, err)
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	sdk, client, ns := onCluster(t)
	ctx := t.Context()
	if _, err := sdk.Install(ctx, request(t, ns, map[string]any{"title": "Flowers"})); err != nil {
		t.Fatal(err)
	}
	patch := func(resource func(name string, data []byte) error, data string) func() error {
		return func() error { return resource("shop", []byte(data)) }
	}
	deployment := func(name string, data []byte) error {
		_, err := client.AppsV1().Deployments(ns).Patch(ctx, name, types.StrategicMergePatchType, data, metav1.PatchOptions{})
		return err
	}
	config := func(name string, data []byte) error {
		_, err := client.CoreV1().ConfigMaps(ns).Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{})
		return err
	}
	deploymentObject, configObject := object("apps/v1", "Deployment", "shop"), object("v1", "ConfigMap", "shop")
	for _, step := range []struct {
		name   string
		change func() error
		want   []Drift
	}{
		{"nothing", func() error { return nil }, nil},
		{"what the chart leaves open", patch(deployment, `{"metadata":{"annotations":{"note":"x"}},"spec":{"replicas":0,"template":{"metadata":{"annotations":{"restartedAt":"now"}}}}}`), nil},
		{"a field of a workload", patch(deployment, `{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":"other:1"}]}}}}`), []Drift{{Object: deploymentObject, Field: "spec.template.spec.containers"}}},
		{"other content", patch(config, `{"data":{"title":"Trees"}}`), []Drift{{Object: configObject, Field: "data.title"}, {Object: deploymentObject, Field: "spec.template.spec.containers"}}},
		{"an object that is gone", func() error { return client.AppsV1().Deployments(ns).Delete(ctx, "shop", metav1.DeleteOptions{}) },
			[]Drift{{Object: configObject, Field: "data.title"}, {Object: deploymentObject, Missing: true}}},
		{"the same release again", func() error {
			_, err := sdk.Upgrade(ctx, request(t, ns, map[string]any{"title": "Flowers"}))
			return err
		}, nil},
	} {
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		rel, err := sdk.Get(ctx, ns, "store")
		if err != nil {
			t.Fatal(err)
		}
		got, err := sdk.Drift(ctx, ns, "store", rel.Revision)
		if err != nil {
			t.Fatalf("%s: Drift: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got, cmpopts.SortSlices(func(a, b Drift) bool { return a.Kind < b.Kind })); diff != "" {
			t.Errorf("%s: drift (-want +got):\n%s", step.name, diff)
		}
	}
}
