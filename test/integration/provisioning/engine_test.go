package provisioning

import (
	"testing"
	"testing/fstest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// tinyChart is a shop without pods: a Deployment is ready as soon as it has none
// to wait for, and never with one, for there is no node.
var tinyChart = fstest.MapFS{
	"tiny/Chart.yaml":  {Data: []byte("apiVersion: v2\nname: tiny\nversion: 1.0.0\n")},
	"tiny/values.yaml": {Data: []byte("title: none\nimage: shop:1\nreplicas: 0\nport: 80\n")},
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
`)},
}

// tinyEngine makes an engine of the tiny chart. Its version "unpullable" has a
// pod that never runs, and Helm cannot install "broken".
func tinyEngine(t testing.TB, deadlineSeconds int32) *v1alpha1.Engine {
	t.Helper()
	values := func(s string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(s)} }
	builtin := "tiny"
	engine, err := platform(t).Engines().Create(t.Context(), &v1alpha1.Engine{
		ObjectMeta: metav1.ObjectMeta{Name: "tiny-" + rand.String(8)},
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
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}
