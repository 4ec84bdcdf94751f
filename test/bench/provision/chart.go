package main

import (
	"fmt"
	"testing"
	"testing/fstest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/repository"
	"platform.dev/stores/test/internal/tiny"
)

const (
	engineName   = "bench"
	chartVersion = "1.0.0"
)

// The templates of the chart. Without replicas its Deployment is ready as soon as it is
// seen.
const (
	deployment = `apiVersion: apps/v1
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
`
	service = `apiVersion: v1
kind: Service
metadata: {name: shop, labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: http}]}
`
)

// serveChart serves a repository with the chart until the test ends, and returns its
// URL and the chart's file.
func serveChart(t testing.TB, folder string, replicas int) (url, archive string, err error) {
	return repository.Serve(t, folder, fstest.MapFS{
		"Chart.yaml":                {Data: fmt.Appendf(nil, "apiVersion: v2\nname: %s\nversion: %s\n", engineName, chartVersion)},
		"values.yaml":               {Data: fmt.Appendf(nil, "title: none\nreplicas: %d\n", replicas)},
		"templates/deployment.yaml": {Data: []byte(deployment)},
		"templates/service.yaml":    {Data: []byte(service)},
	})
}

// newEngine is an engine of the chart in a repository.
func newEngine(repository string) *v1alpha1.Engine {
	engine := tiny.Engine(engineName, 0)
	engine.Spec.Chart = v1alpha1.ChartSource{Repository: &v1alpha1.ChartRepository{URL: repository, Name: engineName}}
	engine.Spec.Versions = []v1alpha1.EngineVersion{{Name: "1.0", ChartVersion: chartVersion}}
	return engine
}
