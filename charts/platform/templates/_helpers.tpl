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
{{- with .component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.topologySpread.keys }}
topologySpreadConstraints:
  {{- range . }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels: {{ include "platform.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* platform.replicas is a Deployment's line "replicas". With an autoscaler it is
empty: an upgrade must not undo what the autoscaler has decided. */}}
{{- define "platform.replicas" -}}
{{- if not (.autoscaling | default dict).enabled -}}
replicas: {{ .replicas }}
{{- end -}}
{{- end }}

{{/* platform.fewestReplicas is how many there are at least. */}}
{{- define "platform.fewestReplicas" -}}
{{- if (.autoscaling | default dict).enabled }}{{ .autoscaling.minReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end }}

{{/* platform.databaseSecret names the Secret that holds the connection string. */}}
{{- define "platform.databaseSecret" -}}
{{- $sources := list -}}
{{- with .Values.database.existingSecret }}{{ $sources = append $sources . }}{{ end -}}
{{- if .Values.externalSecrets.enabled }}{{ $sources = append $sources "platform-database" }}{{ end -}}
{{- if .Values.database.cloudnativepg.enabled }}{{ $sources = append $sources "platform-database-app" }}{{ end -}}
{{- if .Values.postgres.enabled }}{{ $sources = append $sources "platform-postgres" }}{{ end -}}
{{- if not $sources }}
{{- fail "no database: set database.existingSecret to a Secret with a PostgreSQL connection string, or one of externalSecrets.enabled, database.cloudnativepg.enabled and postgres.enabled" }}
{{- else if gt (len $sources) 1 }}
{{- fail "more than one database: set only one of database.existingSecret, externalSecrets.enabled, database.cloudnativepg.enabled and postgres.enabled" }}
{{- end -}}
{{ first $sources }}
{{- end }}

{{/* platform.databaseKey is the connection string's key in that Secret. */}}
{{- define "platform.databaseKey" -}}
{{- if .Values.database.cloudnativepg.enabled }}uri{{ else }}{{ .Values.database.key }}{{ end -}}
{{- end }}

{{/* platform.gateway is the Gateway that stores attach to. */}}
{{- define "platform.gateway" -}}
{{- if .Values.gateway.enabled -}}
{{ toJson (dict "name" "platform" "namespace" .Release.Namespace "sectionName" "https") }}
{{- else -}}
{{ toJson .Values.stores.route.gateway }}
{{- end -}}
{{- end }}

{{/* platform.reservedHosts are the hosts that no store may take, as a JSON list. */}}
{{- define "platform.reservedHosts" -}}
{{ toJson (compact (append .Values.stores.reservedHosts (include "platform.dashboardHost" .)) | uniq) }}
{{- end }}

{{/* platform.dashboardHost is where the dashboard answers; empty without one. */}}
{{- define "platform.dashboardHost" -}}
{{- if .Values.dashboard.enabled }}{{ .Values.dashboard.host | default (printf "dashboard.%s" .Values.domain) }}{{ end -}}
{{- end }}

{{/* platform.dashboardURL is the same as a URL, reached like the stores. */}}
{{- define "platform.dashboardURL" -}}
{{ .Values.storeURL.scheme }}://{{ include "platform.dashboardHost" . }}{{ if .Values.storeURL.port }}:{{ .Values.storeURL.port }}{{ end }}
{{- end }}

{{/* platform.routeAnnotations are those of every store's route. */}}
{{- define "platform.routeAnnotations" -}}
{{- $annotations := dict -}}
{{- with .Values.stores.route.externalDNS.target }}{{ $_ := set $annotations "external-dns.alpha.kubernetes.io/target" . }}{{ end -}}
{{ toJson (merge $annotations .Values.stores.route.annotations) }}
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

{{/* platform.engineRollout is the spec.rollout of a built-in engine that has one. */}}
{{- define "platform.engineRollout" -}}
{{- if not (kindIs "invalid" .rollout) -}}
rollout: {{ toJson .rollout }}
{{- end }}
{{- end }}

{{/* platform.engineRoute is the chart value "route" of every built-in engine. */}}
{{- define "platform.engineRoute" -}}
type: {{ .Values.stores.route.type }}
annotations: {{ include "platform.routeAnnotations" . }}
ingress:
  className: {{ .Values.stores.route.className | quote }}
  tls:
    enabled: {{ .Values.stores.route.tls.enabled }}
    clusterIssuer: {{ .Values.stores.route.tls.clusterIssuer | quote }}
    sharedDomain: {{ ternary .Values.domain "" .Values.stores.route.tls.wildcard | quote }}
gateway:
  parent: {{ include "platform.gateway" . }}
{{- end }}

{{/* platform.engineNetworkPolicy is their chart value "networkPolicy". */}}
{{- define "platform.engineNetworkPolicy" -}}
from:
  # The provisioner asks the storefront whether it sells.
  - namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}
    podSelector:
      matchLabels: {app.kubernetes.io/name: platform-provisioner}
  {{- range .Values.stores.route.fromNamespaces }}
  - namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: {{ . }}}
  {{- end }}
{{- end }}

{{/* platform.engineVolumes is what their stores may say of the sizes of volumes. */}}
{{- define "platform.engineVolumes" -}}
type: object
additionalProperties: false
title: Volumes
description: >-
  How large the shop's volumes are, when the plan's sizes are not enough. A volume
  grows while the shop sells, within the plan's storage, and never shrinks.
properties:
  {{- range list "database" "uploads" "backups" }}
  {{ . }}:
    type: object
    additionalProperties: false
    properties:
      size:
        type: string
        pattern: "^[1-9][0-9]*(Mi|Gi|Ti)$"
        description: Such as 20Gi. Left empty, it is the plan's.
  {{- end }}
{{- end }}
