{{- define "platform.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: platform
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "platform.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* platform.image is an image's full reference: {{ include "platform.image" (dict "root" $ "image" .Values.x.image) }} */}}
{{- define "platform.image" -}}
{{ .root.Values.image.registry }}/{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "platform.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "platform.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "platform.scheduling" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .component.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .component.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "platform.selector" . | nindent 8 }}
{{- end }}

{{/* platform.databaseSecret names the Secret that holds the connection string. */}}
{{- define "platform.databaseSecret" -}}
{{- if .Values.database.existingSecret -}}
{{ .Values.database.existingSecret }}
{{- else if .Values.postgres.enabled -}}
platform-postgres
{{- else -}}
{{ fail "no database: set database.existingSecret to a Secret with a PostgreSQL connection string, or postgres.enabled=true to run one here" }}
{{- end -}}
{{- end }}

{{/* platform.provisionerUser is the provisioner's user name in the cluster. */}}
{{- define "platform.provisionerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:platform-provisioner
{{- end }}

{{/* platform.engines are the manifests of the engines that are enabled, by file name. */}}
{{- define "platform.engines" -}}
{{- range $name, $engine := .Values.engines }}
{{- if $engine.enabled }}
{{ $name }}.yaml: | {{ tpl ($.Files.Get (printf "files/engines/%s.yaml" $name)) $ | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
