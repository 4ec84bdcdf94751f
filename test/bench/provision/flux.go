package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/test/bench/internal/report"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
)

// fluxUser is who the helm-controller is in the cluster.
const fluxUser = "flux"

var (
	sourceVersion = schema.GroupVersion{Group: "source.toolkit.fluxcd.io", Version: "v1"}
	helmReleases  = schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}
)

// measureFlux has Flux's helm-controller install so many releases of the chart, in a
// cluster of their own, with the limits and the workers of the provisioner. Each is in a
// namespace of its own, which is there already. Flux's source-controller does nothing
// while releases are installed, so what it leaves is written here.
func measureFlux(ctx context.Context, o *options, size int, progress io.Writer) (*figures, error) {
	scope := &process.Scope{}
	defer scope.End()
	c, err := startCluster(ctx, scope, fluxUser, false)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(c.environment.Admin())
	if err != nil {
		return nil, err
	}
	if err := c.defineReleases(ctx); err != nil {
		return nil, fmt.Errorf("defining Flux's resources: %w", err)
	}
	if err := c.publish(ctx, client); err != nil {
		return nil, fmt.Errorf("publishing the chart for Flux: %w", err)
	}
	if err := c.startFlux(ctx, scope, o); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "creating %d releases for Flux's helm-controller\n", size)
	if err := each(ctx, size, func(ctx context.Context, name string) error { return c.createNamespace(ctx, name) }); err != nil {
		return nil, err
	}
	f := &figures{stores: size}
	f.provisioning, err = c.during(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, o.patience)
		defer cancel()
		ctx, stop := c.whileRuns(ctx)
		defer stop()
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			return each(ctx, size, func(ctx context.Context, name string) error {
				_, err := client.Resource(helmReleases).Namespace(name).Create(ctx, newHelmRelease(name), metav1.CreateOptions{})
				return err
			})
		})
		group.Go(func() (err error) {
			f.half, err = released(ctx, client, size, progress)
			return err
		})
		return group.Wait()
	})
	if err != nil {
		return nil, err
	}
	_, f.peak, err = report.Memory(c.programs[controller])
	return f, err
}

// defineReleases makes the API server know the resources that the helm-controller reads.
// The release's definition is its module's; of the sources any object will do.
func (c *cluster) defineReleases(ctx context.Context) error {
	client, err := apiextensions.NewForConfig(c.environment.Admin())
	if err != nil {
		return err
	}
	folder, err := moduleFolder(ctx, "helm-controller", "github.com/fluxcd/helm-controller")
	if err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(folder, "config", "crd", "bases", "helm.toolkit.fluxcd.io_helmreleases.yaml"))
	if err != nil {
		return err
	}
	releases := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(content, releases); err != nil {
		return err
	}
	for _, definition := range []*apiextensionsv1.CustomResourceDefinition{
		releases, newSource("OCIRepository", "ocirepositories"), newSource("HelmChart", "helmcharts"),
	} {
		if _, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, definition, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// newSource defines a kind of Flux's sources.
func newSource(kind, plural string) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + sourceVersion.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: sourceVersion.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural, Singular: strings.ToLower(kind), ListKind: kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: sourceVersion.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: ptr.To(true),
				}},
			}},
		},
	}
}

// publish writes what Flux's source-controller would of the chart.
func (c *cluster) publish(ctx context.Context, client dynamic.Interface) error {
	content, err := os.ReadFile(c.archive)
	if err != nil {
		return err
	}
	digest, now := fmt.Sprintf("sha256:%x", sha256.Sum256(content)), time.Now().UTC().Format(time.RFC3339)
	source := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": sourceVersion.String(),
		"kind":       "OCIRepository",
		"metadata":   map[string]any{"name": engineName, "namespace": engineName},
		"spec":       map[string]any{"url": "oci://example.com/" + engineName, "interval": "24h"},
		"status": map[string]any{
			"observedGeneration": int64(1),
			"conditions": []any{map[string]any{
				"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored", "lastTransitionTime": now,
			}},
			"artifact": map[string]any{
				"path": filepath.Base(c.archive), "url": c.repository + "/" + filepath.Base(c.archive),
				"revision": chartVersion + "@" + digest, "digest": digest, "size": int64(len(content)), "lastUpdateTime": now,
			},
		},
	}}
	sources := client.Resource(sourceVersion.WithResource("ocirepositories")).Namespace(engineName)
	// Its definition is new.
	for {
		if _, err = sources.Create(ctx, source, metav1.CreateOptions{}); err == nil || ctx.Err() != nil {
			return err
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// startFlux starts the helm-controller and waits until it is ready.
func (c *cluster) startFlux(ctx context.Context, scope *process.Scope, o *options) error {
	kubeconfig := filepath.Join(c.environment.Folder(), "flux.kubeconfig")
	if err := harness.WriteKubeconfig(kubeconfig, c.environment.User(fluxUser, "system:masters"), metav1.NamespaceDefault); err != nil {
		return err
	}
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	health := fmt.Sprintf("127.0.0.1:%d", port)
	// env becomes the program that it is given.
	arguments := append(limits(), "KUBECONFIG="+kubeconfig, "RUNTIME_NAMESPACE="+engineName, filepath.Join(o.programs, "helm-controller"),
		fmt.Sprintf("--concurrent=%d", o.workers), "--metrics-addr=0", "--health-addr="+health, "--log-level=error")
	running, err := process.Start("helm-controller", filepath.Join(c.environment.Logs(), "helm-controller.log"), "env", arguments...)
	if err != nil {
		return err
	}
	scope.Cleanup(func() { running.Stop(0) })
	c.process, c.programs[controller] = running, running.PID()
	return running.WaitFor(ctx, func(ctx context.Context) error {
		_, err := get(ctx, "http://"+health+"/readyz")
		return err
	})
}

func newHelmRelease(namespace string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": helmReleases.GroupVersion().String(),
		"kind":       "HelmRelease",
		"metadata":   map[string]any{"name": "shop", "namespace": namespace},
		"spec": map[string]any{
			"interval": "24h",
			"chartRef": map[string]any{"kind": "OCIRepository", "name": engineName, "namespace": engineName},
			"values":   map[string]any{"title": "Shop " + namespace},
		},
	}}
}

// released returns when so many releases are ready.
func released(ctx context.Context, client dynamic.Interface, count int, progress io.Writer) (half time.Duration, err error) {
	releases := client.Resource(helmReleases)
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return releases.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return releases.Watch(ctx, o)
		},
	}
	return untilAll(ctx, cache.ToListWatcherWithWatchListSemantics(source, client), &unstructured.Unstructured{}, count, "releases", progress, func(obj runtime.Object) (string, bool) {
		release, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return "", false
		}
		conditions, _, _ := unstructured.NestedSlice(release.Object, "status", "conditions")
		for _, condition := range conditions {
			if c, ok := condition.(map[string]any); ok && c["type"] == "Ready" && c["status"] == "True" {
				return release.GetNamespace(), true
			}
		}
		return "", false
	})
}
