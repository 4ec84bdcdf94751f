package helm

import (
	"io/fs"
	"testing/fstest"
)

// chartFiles is a chart with one Deployment, one ConfigMap and a helper file.
func chartFiles() fstest.MapFS {
	return fstest.MapFS{
		"Chart.yaml":             {Data: []byte("apiVersion: v2\nname: shop\nversion: 1.2.3\n")},
		"values.yaml":            {Data: []byte("title: none\nextra: false\nbad: false\n")},
		"templates/_helpers.tpl": {Data: []byte(`{{ define "shop.title" }}{{ .Values.title | quote }}{{ end }}`)},
		"templates/config.yaml": {Data: []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {title: {{ include "shop.title" . }}}
`)},
		"templates/service.yaml": {Data: []byte(`apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
`)},
		"templates/deployment.yaml": {Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: shop{{ if .Values.bad }}_{{ end }}}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: "shop:1", env: [{name: TITLE, value: {{ include "shop.title" . }}}]}]}
`)},
		"templates/extra.yaml": {Data: []byte(`{{ if .Values.extra }}apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
{{ end }}`)},
		"templates/claim.yaml": {Data: []byte(`{{ with .Values.size }}apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  storageClassName: {{ $.Values.class }}
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: {{ . }}}}
{{ end }}`)},
	}
}

func inFolder(folder string, files fs.FS) fstest.MapFS {
	out := fstest.MapFS{}
	_ = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() {
			data, _ := fs.ReadFile(files, path)
			out[folder+"/"+path] = &fstest.MapFile{Data: data}
		}
		return nil
	})
	return out
}
