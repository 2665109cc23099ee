{{- define "stock-lambda.labels" -}}
app.kubernetes.io/part-of: stock-lambda
app.kubernetes.io/name: {{ .name }}
{{- end }}

{{- /* Labels of the object itself: also who made it. */}}
{{- define "stock-lambda.meta" -}}
name: {{ .name }}
labels:
  {{- include "stock-lambda.owned" (dict "root" .root) | nindent 2 }}
  app.kubernetes.io/name: {{ .app | default .name }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "stock-lambda.owned" -}}
app.kubernetes.io/part-of: stock-lambda
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "stock-lambda.image" -}}
{{- $registry := required "image.registry: where are the images? (REGISTRY/speed-layer, REGISTRY/batch-layer)" .root.Values.image.registry -}}
{{- if .digest -}}
{{ $registry }}/{{ .name }}@{{ .digest }}
{{- else -}}
{{ $registry }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "stock-lambda.speedImage" -}}
{{- include "stock-lambda.image" (dict "root" . "name" "speed-layer" "digest" .Values.image.digests.speedLayer) }}
{{- end }}

{{- define "stock-lambda.batchImage" -}}
{{- include "stock-lambda.image" (dict "root" . "name" "batch-layer" "digest" .Values.image.digests.batchLayer) }}
{{- end }}

{{- define "stock-lambda.pullPolicy" -}}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "stock-lambda.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.pods.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stock-lambda.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "stock-lambda.authorities" -}}
- name: authorities
  configMap:
    name: {{ .Values.authorities.configMap }}
    optional: {{ .Values.authorities.optional }}
{{- end }}

{{- /* A failed pod: evicted does not count, and the named exit codes are final. */}}
{{- define "stock-lambda.failures" -}}
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
    - action: FailJob
      onExitCodes:
        containerName: {{ .container }}
        operator: In
        values: {{ .final }}
{{- end }}

{{- define "stock-lambda.speedSettings" -}}
{{- $own := dict "KAFKA_BROKERS" (required "kafka.brokers: HOST:PORT of your Kafka" .Values.kafka.brokers) "KAFKA_TOPIC" .Values.kafka.topic "KAFKA_GROUP_ID" .Values.kafka.groupId "LOG_FORMAT" "json" -}}
{{- toYaml (mergeOverwrite $own .Values.settings.speedLayer) }}
{{- end }}

{{- define "stock-lambda.batchSettings" -}}
{{- $prefix := .Values.archive.prefix | default (printf "raw/%s/%%Y-%%m-%%d-%%H/" .Values.kafka.topic) -}}
{{- $own := dict "S3_BUCKET" .Values.archive.bucket "S3_PREFIX" $prefix "AWS_REGION" .Values.archive.region "LOG_FORMAT" "json" -}}
{{- with .Values.archive.endpointUrl }}{{ $_ := set $own "S3_ENDPOINT_URL" . }}{{ end -}}
{{- toYaml (mergeOverwrite $own .Values.settings.batchLayer) }}
{{- end }}

{{- /* What both layers read. The own map of each comes after the messages', so that it may say other trading hours. */}}
{{- define "stock-lambda.settingsOf" -}}
envFrom:
  - configMapRef: { name: stock-messages }
  {{- range . }}
  - configMapRef: { name: {{ . }} }
  {{- end }}
{{- end }}

{{- define "stock-lambda.ports" -}}
{{- range . }}
- { protocol: TCP, port: {{ . }} }
{{- end }}
{{- end }}

{{/* A file of alerts. They name their runbook by its path in the repository; where that can be read, they link to it. */}}
{{- define "stock-lambda.alerts" -}}
{{- $text := .root.Files.Get .file -}}
{{- with .root.Values.runbooks -}}
{{- $text | replace "runbook: docs/operations.md" (printf "runbook_url: %s" .) | replace "\"runbook\": \"docs/operations.md" (printf "\"runbook_url\": \"%s" .) -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end }}
