{{ define "shop.title" }}{{ .Values.title | quote }}{{ end }}
