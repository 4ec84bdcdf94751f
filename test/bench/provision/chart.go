package main

import (
	"fmt"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/repository"
)

const (
	engineName   = "bench"
	chartVersion = "1.0.0"
)

// templates are those of the chart. Without replicas its Deployment is ready as soon as
// it is seen.
var templates = map[string]string{
	"deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shop
          image: shop:1
          env: [{name: TITLE, value: {{ .Values.title | quote }}}]
          ports: [{name: http, containerPort: 8080}]
          livenessProbe: {httpGet: {path: /healthz, port: http}}
          readinessProbe: {httpGet: {path: /readyz, port: http}}
          resources: {requests: {cpu: 100m, memory: 64Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`,
	"service.yaml": `apiVersion: v1
kind: Service
metadata: {name: shop, labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: http}]}
`,
}

// serveChart serves a repository with the chart until the test ends, and returns its
// URL and the chart's file.
func serveChart(t testing.TB, folder string, replicas int) (url, archive string, err error) {
	c := &chart.Chart{
		Metadata: &chart.Metadata{APIVersion: chart.APIVersionV2, Name: engineName, Version: chartVersion},
		Raw:      []*chart.File{{Name: chartutil.ValuesfileName, Data: fmt.Appendf(nil, "title: none\nreplicas: %d\n", replicas)}},
		Values:   map[string]any{"title": "none", "replicas": replicas},
	}
	for name, template := range templates {
		c.Templates = append(c.Templates, &chart.File{Name: "templates/" + name, Data: []byte(template)})
	}
	return repository.Serve(t, folder, c)
}

// newEngine is an engine of the chart in a repository.
func newEngine(repository string) *v1alpha1.Engine {
	return &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: engineName},
		Spec: v1alpha1.EngineSpec{
			Chart:          v1alpha1.ChartSource{Repository: &v1alpha1.ChartRepository{URL: repository, Name: engineName}},
			Versions:       []v1alpha1.EngineVersion{{Name: "1.0", ChartVersion: chartVersion}},
			DefaultVersion: "1.0",
			Plans:          []v1alpha1.EnginePlan{{Name: "small"}},
			DefaultPlan:    "small",
			Mappings:       []v1alpha1.ValueMapping{{Value: "title", From: v1alpha1.StoreFieldDisplayName}},
			Credentials:    []v1alpha1.Credential{{Key: "password", Generate: &v1alpha1.RandomValue{Length: 24}}},
			Storefront:     v1alpha1.Storefront{Service: "shop", Port: 80, Checks: []v1alpha1.StorefrontCheck{{Path: "/"}}},
		},
	}
}
