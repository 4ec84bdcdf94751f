{{/* woocommerce.labels are the labels of an object: {{ include "woocommerce.labels" (list $ "storefront") }} */}}
{{- define "woocommerce.labels" -}}
{{- $root := index . 0 -}}
{{ include "woocommerce.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: shop
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* woocommerce.selector are those labels of a component that never change. */}}
{{- define "woocommerce.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* woocommerce.image is the reference of an image: {{ include "woocommerce.image" (list .Values.image "11.0.1") }} */}}
{{- define "woocommerce.image" -}}
{{- $image := index . 0 -}}
{{- $name := printf "%s/%s" $image.registry $image.repository | trimPrefix "/" -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ $image.tag | default (index . 1) }}
{{- end -}}
{{- end }}

{{/* woocommerce.secret names the Secret with the shop's credentials. */}}
{{- define "woocommerce.secret" -}}
{{- if not .Values.existingSecret -}}
{{- fail (printf `
existingSecret must name the Secret with the shop's credentials. To make one:

  kubectl --namespace %s create secret generic store-credentials \
    --from-literal=admin-email=you@example.com \
    --from-literal=admin-password="$(openssl rand -hex 16)" \
    --from-literal=database-password="$(openssl rand -hex 32)" \
    --from-literal=salts="$(openssl rand -hex 32)"

Then install with --set existingSecret=store-credentials.` .Release.Namespace) -}}
{{- end -}}
{{ .Values.existingSecret }}
{{- end }}

{{/* woocommerce.host is the host name of the route. */}}
{{- define "woocommerce.host" -}}
{{ .Values.store.host | default (urlParse .Values.store.url).hostname }}
{{- end }}

{{/* woocommerce.claim is the claim of a volume: {{ include "woocommerce.claim" (list $ "uploads" "storefront") }} */}}
{{- define "woocommerce.claim" -}}
{{- $root := index . 0 -}}
{{- $volume := get $root.Values.persistence (index . 1) -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ index . 1 }}
  labels: {{ include "woocommerce.labels" (list $root (index . 2)) | nindent 4 }}
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

{{/* woocommerce.pod is what all pods share: {{ include "woocommerce.pod" (dict "root" $ "uid" 33 "gid" 33) }} */}}
{{- define "woocommerce.pod" -}}
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

{{- define "woocommerce.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* woocommerce.env is what every program of the shop needs besides the ConfigMap. */}}
{{- define "woocommerce.env" -}}
- {name: WORDPRESS_DB_HOST, value: mariadb}
- {name: WORDPRESS_DB_NAME, value: wordpress}
- {name: WORDPRESS_DB_USER, value: wordpress}
- name: WORDPRESS_DB_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "woocommerce.secret" . }}, key: database-password}}
- name: WORDPRESS_SALTS
  valueFrom: {secretKeyRef: {name: {{ include "woocommerce.secret" . }}, key: salts}}
- {name: STORE_PLUGIN, value: {{ .Values.plugin.slug }}}
- {name: STORE_ALLOW_EXTERNAL, value: {{ not (empty .Values.networkPolicy.egress) | quote }}}
{{- end }}

{{/*
woocommerce.settings are environment variables out of the store's values. They go
through a ConfigMap because Kubernetes expands $(NAME) in a literal value: a
title could read a password.
*/}}
{{- define "woocommerce.settings" -}}
STORE_TITLE: {{ .Values.store.title | default .Values.store.name | toJson }}
STORE_URL: {{ .Values.store.url | toJson }}
STORE_CURRENCY: {{ .Values.catalog.currency | upper | toJson }}
STORE_COUNTRY: {{ .Values.catalog.country | upper | toJson }}
STORE_SAMPLE_PRODUCTS: {{ .Values.catalog.sampleProducts | toString | toJson }}
{{- end }}

{{/*
woocommerce.pluginInit is the init container that brings the plugin, if the image
does not hold it: from a URL with its checksum. It also checks what a claim holds.
*/}}
{{- define "woocommerce.pluginInit" -}}
{{- if .Values.plugin.url }}
- name: plugin
  image: {{ include "woocommerce.image" (list .Values.image .Chart.AppVersion) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [php, bin/plugin.php, /plugin]
  env:
    - {name: STORE_PLUGIN, value: {{ .Values.plugin.slug }}}
    - {name: PLUGIN_URL, value: {{ .Values.plugin.url | quote }}}
    - {name: PLUGIN_SHA256, value: {{ required "plugin.url needs plugin.sha256" .Values.plugin.sha256 | quote }}}
  resources: {{ toYaml .Values.resources.wait | nindent 4 }}
  securityContext: {{ include "woocommerce.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: plugin, mountPath: /plugin}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end }}

{{- define "woocommerce.pluginMount" -}}
{{- if or .Values.plugin.url .Values.plugin.existingClaim }}
- name: plugin
  mountPath: /usr/src/wordpress/wp-content/plugins/{{ .Values.plugin.slug }}
  subPath: {{ .Values.plugin.slug }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "woocommerce.pluginVolume" -}}
{{- if and .Values.plugin.url .Values.plugin.existingClaim }}
{{- fail "give plugin.url or plugin.existingClaim, not both" }}
{{- else if .Values.plugin.url }}
- {name: plugin, emptyDir: {sizeLimit: 512Mi}}
{{- else if .Values.plugin.existingClaim }}
- name: plugin
  persistentVolumeClaim: {claimName: {{ .Values.plugin.existingClaim }}, readOnly: true}
{{- end }}
{{- end }}
