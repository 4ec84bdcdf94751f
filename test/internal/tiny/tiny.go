// Package tiny is an engine whose shops need no node: a Deployment is ready as soon
// as it has no pods to wait for, and never with one.
package tiny

import (
	"testing/fstest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// Charts holds the engine's chart.
var Charts = fstest.MapFS{
	"tiny/Chart.yaml":  {Data: []byte("apiVersion: v2\nname: tiny\nversion: 1.0.0\n")},
	"tiny/values.yaml": {Data: []byte("title: none\nimage: shop:1\nreplicas: 0\nport: 80\nstorageClass: \"\"\n")},
	"tiny/templates/shop.yaml": {Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shop
          image: {{ .Values.image | quote }}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: {{ .Values.port }}}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {title: {{ .Values.title | quote }}, image: {{ .Values.image | quote }}}
{{- with .Values.storageClass }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: {{ . }}, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
{{- end }}
`)},
}

// Engine returns an engine of the chart. Its version "unpullable" has a pod that
// never runs, and Helm cannot install "broken".
func Engine(name string, deadlineSeconds int32) *v1alpha1.Engine {
	values := func(s string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(s)} }
	builtin := "tiny"
	return &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.EngineSpec{
			Chart: v1alpha1.ChartSource{Builtin: &builtin},
			Versions: []v1alpha1.EngineVersion{
				{Name: "1.0", Values: values(`{"image":"shop:1"}`)},
				{Name: "2.0", Values: values(`{"image":"shop:2"}`)},
				{Name: "unpullable", Values: values(`{"image":"shop:none","replicas":1}`)},
				{Name: "broken", Values: values(`{"port":70000}`)},
			},
			DefaultVersion:          "1.0",
			Plans:                   []v1alpha1.EnginePlan{{Name: "small"}},
			DefaultPlan:             "small",
			Mappings:                []v1alpha1.ValueMapping{{Value: "title", From: v1alpha1.StoreFieldDisplayName}},
			Credentials:             []v1alpha1.Credential{{Key: "password", Generate: &v1alpha1.RandomValue{Length: 24}}},
			Storefront:              v1alpha1.Storefront{Service: "shop", Port: 80, Checks: []v1alpha1.StorefrontCheck{{Path: "/"}}},
			ProgressDeadlineSeconds: deadlineSeconds,
		},
	}
}
