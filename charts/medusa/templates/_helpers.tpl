{{/* medusa.labels are the labels of an object: {{ include "medusa.labels" (list $ "storefront") }} */}}
{{- define "medusa.labels" -}}
{{- $root := index . 0 -}}
{{ include "medusa.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: shop
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* medusa.selector are those labels of a component that never change. */}}
{{- define "medusa.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* medusa.image is the reference of an image: {{ include "medusa.image" (list .Values.image "2.21.2") }} */}}
{{- define "medusa.image" -}}
{{- $image := index . 0 -}}
{{- $name := printf "%s/%s" $image.registry $image.repository | trimPrefix "/" -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ $image.tag | default (index . 1) }}
{{- end -}}
{{- end }}

{{/* medusa.secret names the Secret with the shop's credentials. */}}
{{- define "medusa.secret" -}}
{{- if not .Values.existingSecret -}}
{{- fail (printf `
existingSecret must name the Secret with the shop's credentials. To make one:

  kubectl --namespace %s create secret generic store-credentials \
    --from-literal=admin-email=you@example.com \
    --from-literal=admin-password="$(openssl rand -hex 16)" \
    --from-literal=database-password="$(openssl rand -hex 32)" \
    --from-literal=jwt-secret="$(openssl rand -hex 32)" \
    --from-literal=cookie-secret="$(openssl rand -hex 32)" \
    --from-literal=publishable-key="pk_$(openssl rand -hex 32)"

Then install with --set existingSecret=store-credentials.` .Release.Namespace) -}}
{{- end -}}
{{ .Values.existingSecret }}
{{- end }}

{{/* medusa.host is the host name of the route. */}}
{{- define "medusa.host" -}}
{{ .Values.store.host | default (urlParse .Values.store.url).hostname }}
{{- end }}

{{/* medusa.claim is the claim of a volume: {{ include "medusa.claim" (list $ "uploads" "storefront") }} */}}
{{- define "medusa.claim" -}}
{{- $root := index . 0 -}}
{{- $volume := get $root.Values.persistence (index . 1) -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ index . 1 }}
  labels: {{ include "medusa.labels" (list $root (index . 2)) | nindent 4 }}
  {{- if $root.Values.persistence.retain }}
  annotations: {helm.sh/resource-policy: keep}
  {{- end }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $volume.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests: {storage: {{ $volume.size }}}
{{- end }}

{{/* medusa.pod is what all pods share: {{ include "medusa.pod" (dict "root" $ "uid" 1000 "gid" 1000) }} */}}
{{- define "medusa.pod" -}}
serviceAccountName: shop
automountServiceAccountToken: false
# The variables that Kubernetes makes for Services could pass for settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .gid }}
  fsGroup: {{ .gid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "medusa.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* medusa.databaseEnv is what a program needs to reach the database. */}}
{{- define "medusa.databaseEnv" -}}
- {name: DATABASE_HOST, value: postgres}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "medusa.secret" . }}, key: database-password}}
{{- end }}

{{/* medusa.appEnv is what every Medusa process needs besides the ConfigMap. */}}
{{- define "medusa.appEnv" -}}
{{ include "medusa.databaseEnv" . }}
- name: JWT_SECRET
  valueFrom: {secretKeyRef: {name: {{ include "medusa.secret" . }}, key: jwt-secret}}
- name: COOKIE_SECRET
  valueFrom: {secretKeyRef: {name: {{ include "medusa.secret" . }}, key: cookie-secret}}
- name: PUBLISHABLE_KEY
  valueFrom: {secretKeyRef: {name: {{ include "medusa.secret" . }}, key: publishable-key}}
- {name: NODE_OPTIONS, value: "--max-old-space-size={{ .Values.medusa.maxHeapMiB }}"}
{{- end }}

{{/*
medusa.settings are environment variables out of the store's values. They go
through a ConfigMap because Kubernetes expands $(NAME) in a literal value: a
title could read a password.
*/}}
{{- define "medusa.settings" -}}
STORE_TITLE: {{ .Values.store.title | default .Values.store.name | toJson }}
STORE_URL: {{ .Values.store.url | toJson }}
STORE_CURRENCY: {{ .Values.catalog.currency | toJson }}
STORE_COUNTRIES: {{ .Values.catalog.countries | join "," | toJson }}
STORE_SAMPLE_PRODUCTS: {{ .Values.catalog.sampleProducts | toString | toJson }}
COOKIE_SECURE: {{ hasPrefix "https://" .Values.store.url | toString | toJson }}
{{- end }}
