package helm

import "testing/fstest"

// chartFiles has the folder of a chart with one Deployment, one ConfigMap and a helper file.
func chartFiles() fstest.MapFS {
	return fstest.MapFS{
		"shop/Chart.yaml":             {Data: []byte("apiVersion: v2\nname: shop\nversion: 1.2.3\n")},
		"shop/values.yaml":            {Data: []byte("title: none\nextra: false\nbad: false\n")},
		"shop/templates/_helpers.tpl": {Data: []byte(`{{ define "shop.title" }}{{ .Values.title | quote }}{{ end }}`)},
		"shop/templates/config.yaml": {Data: []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {title: {{ include "shop.title" . }}}
`)},
		"shop/templates/service.yaml": {Data: []byte(`apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
`)},
		"shop/templates/deployment.yaml": {Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: shop{{ if .Values.bad }}_{{ end }}}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: "shop:1", env: [{name: TITLE, value: {{ include "shop.title" . }}}]}]}
`)},
		"shop/templates/extra.yaml": {Data: []byte(`{{ if .Values.extra }}apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
{{ end }}`)},
		"shop/templates/claim.yaml": {Data: []byte(`{{ with .Values.size }}apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  storageClassName: {{ $.Values.class }}
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: {{ . }}}}
{{ end }}`)},
	}
}
