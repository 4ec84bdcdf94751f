package harness

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

const (
	// systemNamespace is where the chart is installed.
	systemNamespace = "platform-system"
	// serviceName is the API server's Service, ServiceAccount and Deployment.
	serviceName = "platform-apiserver"
	// provisionerName is the provisioner's ServiceAccount.
	provisionerName = "platform-provisioner"
)

// templates are the parts of the platform chart that a test needs.
var templates = []string{"_helpers.tpl", "apiserver.yaml", "apiserver-rbac.yaml", "apiservice.yaml", "roles.yaml",
	"provisioner.yaml", "provisioner-rbac.yaml", "provisioner-policy.yaml"}

// applied are the kinds of them that are applied as rendered. The Deployment
// becomes a process, the Service a name of the loopback address.
var applied = []string{"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "APIService",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}

// namespaced are the kinds of them that go into the chart's own namespace when
// they name none.
var namespaced = []string{"ServiceAccount", "Role", "RoleBinding"}

// render returns the objects of the platform chart, as installed with a
// certificate that the authority ca has signed.
func render(root string, ca *authority) ([]*unstructured.Unstructured, error) {
	loaded, err := loader.LoadDir(filepath.Join(root, "charts", "platform"))
	if err != nil {
		return nil, fmt.Errorf("loading the platform chart: %w", err)
	}
	loaded.Templates = slices.DeleteFunc(loaded.Templates, func(f *chart.File) bool {
		return !slices.Contains(templates, path.Base(f.Name))
	})
	values, err := chartutil.ToRenderValues(loaded, map[string]any{
		"domain":   Domain,
		"database": map[string]any{"existingSecret": "database"},
		// One administrator makes the stores of all tests.
		"stores": map[string]any{"quota": map[string]any{"storesPerOwner": 0, "createCount": 0}},
		"certificate": map[string]any{
			"mode": "existing", "existingSecret": "certificate", "caBundle": base64.StdEncoding.EncodeToString(ca.pem),
		},
	}, chartutil.ReleaseOptions{Name: "platform", Namespace: systemNamespace, IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, fmt.Errorf("reading the values of the platform chart: %w", err)
	}
	files, err := engine.Render(loaded, values)
	if err != nil {
		return nil, fmt.Errorf("rendering the platform chart: %w", err)
	}
	var objects []*unstructured.Unstructured
	for name, content := range files {
		decoded, err := decode(content)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		objects = append(objects, decoded...)
	}
	return objects, nil
}

func decode(manifest string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// apply creates those objects that the cluster itself needs.
func apply(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if !slices.Contains(applied, object.GetKind()) {
			continue
		}
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		target := client.Resource(resource).Namespace(object.GetNamespace())
		if object.GetNamespace() == "" && slices.Contains(namespaced, object.GetKind()) {
			target = client.Resource(resource).Namespace(systemNamespace)
		}
		if _, err := target.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// arguments returns what the chart's Deployment of that name gives to its program,
// with the folders of its volumes replaced.
func arguments(objects []*unstructured.Unstructured, name string, volumes map[string]string) ([]string, error) {
	container, err := container(objects, name)
	if err != nil {
		return nil, err
	}
	args := slices.Clone(container.Args)
	for _, mount := range container.VolumeMounts {
		folder, ok := volumes[mount.Name]
		if !ok {
			return nil, fmt.Errorf("no folder for volume %s of Deployment %s", mount.Name, name)
		}
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], mount.MountPath, folder)
		}
	}
	return args, nil
}

// container returns that of the chart's Deployment of a name.
func container(objects []*unstructured.Unstructured, name string) (*corev1.Container, error) {
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "Deployment" && o.GetName() == name
	})
	if i < 0 {
		return nil, fmt.Errorf("the platform chart has no Deployment %s", name)
	}
	var deployment appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[i].Object, &deployment); err != nil {
		return nil, fmt.Errorf("reading Deployment %s: %w", name, err)
	}
	return &deployment.Spec.Template.Spec.Containers[0], nil
}

// auditPolicyOf returns the audit policy that the chart gives to the API server.
func auditPolicyOf(objects []*unstructured.Unstructured) (string, error) {
	for _, object := range objects {
		if object.GetKind() == "ConfigMap" && object.GetName() == serviceName+"-audit" {
			policy, _, err := unstructured.NestedString(object.Object, "data", "policy.yaml")
			return policy, err
		}
	}
	return "", fmt.Errorf("the platform chart has no ConfigMap %s-audit", serviceName)
}
