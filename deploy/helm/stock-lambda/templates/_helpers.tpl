{{- define "stock-lambda.labels" -}}
app.kubernetes.io/part-of: stock-lambda
app.kubernetes.io/name: {{ .name }}
{{- end }}

{{- /* Labels and annotations of a pod: those by which it is found, and yours. */}}
{{- define "stock-lambda.podMeta" -}}
{{- include "stock-lambda.checkVolumes" . }}
labels:
  {{- include "stock-lambda.labels" . | nindent 2 }}
  {{- with get .root.Values.pods.labels .part }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) (get .root.Values.pods.annotations .part) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Labels of the object itself: also who made it. */}}
{{- define "stock-lambda.meta" -}}
name: {{ .name | quote }}
labels:
  {{- include "stock-lambda.owned" (dict "root" .root) | nindent 2 }}
  app.kubernetes.io/name: {{ .app | default .name | quote }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "stock-lambda.owned" -}}
app.kubernetes.io/part-of: stock-lambda
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
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
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.pods.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.pods.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Volumes that pods.volumes gives, and nothing twice: a server would refuse the pods. */}}
{{- define "stock-lambda.checkVolumes" -}}
{{- $part := .part }}
{{- $names := list }}
{{- range get .root.Values.pods.volumes $part }}
{{- if has .name $names }}
{{- fail (printf "pods.volumes.%s: two volumes are named %s" $part .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- $paths := list }}
{{- range get .root.Values.pods.volumeMounts $part }}
{{- if not (has .name $names) }}
{{- fail (printf "pods.volumeMounts.%s: there is no volume %s in pods.volumes.%s" $part .name $part) }}
{{- end }}
{{- $path := clean .mountPath }}
{{- if has $path $paths }}
{{- fail (printf "pods.volumeMounts.%s: two volumes are mounted at %s" $part $path) }}
{{- end }}
{{- $paths = append $paths $path }}
{{- end }}
{{- end }}

{{- /* A schedule, in which no range runs backwards: a server refuses 9-5, and FRI-MON. */}}
{{- define "stock-lambda.schedule" -}}
{{- $of := . }}
{{- $numbers := lower .schedule }}
{{- range $number, $name := list "sun" "mon" "tue" "wed" "thu" "fri" "sat" }}
{{- $numbers = replace $name (toString $number) $numbers }}
{{- end }}
{{- range $number, $name := list "jan" "feb" "mar" "apr" "may" "jun" "jul" "aug" "sep" "oct" "nov" "dec" }}
{{- $numbers = replace $name (toString (add1 $number)) $numbers }}
{{- end }}
{{- range regexFindAll "[0-9]+-[0-9]+" $numbers -1 }}
{{- $ends := splitList "-" . }}
{{- if gt (float64 (first $ends)) (float64 (last $ends)) }}
{{- fail (printf "%s.schedule: %s has a range that runs backwards" $of.name $of.schedule) }}
{{- end }}
{{- end }}
{{- .schedule | quote }}
{{- end }}

{{- /* Further volumes of a program's pods, and where they are mounted: in lists that have others. */}}
{{- define "stock-lambda.more" -}}
{{- with . }}
{{- toYaml . }}
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
    name: {{ .Values.authorities.configMap | quote }}
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
{{- with .Values.settings.speedLayer.DEAD_LETTER_TOPIC }}
{{- if has . (splitList "," $.Values.kafka.topic) }}
{{- fail (printf "settings.speedLayer.DEAD_LETTER_TOPIC: %s is the topic that is read; rejected messages need another one" .) }}
{{- end }}
{{- end }}
{{- $own := dict "KAFKA_BROKERS" (required "kafka.brokers: HOST:PORT of your Kafka" .Values.kafka.brokers) "KAFKA_TOPIC" .Values.kafka.topic "KAFKA_GROUP_ID" .Values.kafka.groupId "LOG_FORMAT" "json" -}}
{{- toYaml (mergeOverwrite $own .Values.settings.speedLayer) }}
{{- end }}

{{- define "stock-lambda.batchSettings" -}}
{{- if and (not .Values.archive.prefix) (regexMatch "[,^]" .Values.kafka.topic) }}
{{- fail (printf "archive.prefix: has to be set, since kafka.topic is not the name of one topic: %s" .Values.kafka.topic) }}
{{- end }}
{{- if and (eq (get .Values.settings.batchLayer "BATCH_ENGINE") "spark") (not .Values.secrets.variables.batchLayer) }}
{{- fail "secrets.variables.batchLayer: BATCH_ENGINE is spark, and SPARK_URL has to stand in a Secret of that name" }}
{{- end }}
{{- $prefix := .Values.archive.prefix | default (printf "raw/%s/%%Y-%%m-%%d-%%H/" .Values.kafka.topic) -}}
{{- $own := dict "S3_BUCKET" .Values.archive.bucket "S3_PREFIX" $prefix "AWS_REGION" .Values.archive.region "LOG_FORMAT" "json" -}}
{{- with .Values.archive.endpointUrl }}{{ $_ := set $own "S3_ENDPOINT_URL" . }}{{ end -}}
{{- toYaml (mergeOverwrite $own .Values.settings.batchLayer) }}
{{- end }}

{{- /* What both layers read. The own map of each comes after the messages', so that it may say other trading hours. */}}
{{- define "stock-lambda.settingsOf" -}}
envFrom:
  - configMapRef: { name: stock-messages }
  - configMapRef: { name: {{ .map }} }
  {{- with .secret }}
  - secretRef: { name: {{ . | quote }}, optional: true }
  {{- end }}
{{- end }}

{{- /* Rules of egress. None where there are no ports: a rule without any would allow all of them, to everybody. */}}
{{- define "stock-lambda.egress" -}}
{{- $rules := .extra }}
{{- with .ports }}
{{- $ports := list }}
{{- range uniq . }}
{{- $ports = append $ports (dict "protocol" "TCP" "port" (int64 .)) }}
{{- end }}
{{- $rules = prepend $rules (dict "ports" $ports) }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{- /* A quantity of Kubernetes' as a number. */}}
{{- define "stock-lambda.quantity" -}}
{{- $text := toString . }}
{{- $number := regexFind "^[0-9.]+([eE][+-]?[0-9]+)?" $text }}
{{- $factors := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 }}
{{- mulf (float64 $number) (get $factors (trimPrefix $number $text)) }}
{{- end }}

{{- /* Requests and limits, where no server and no kernel would refuse them later. */}}
{{- define "stock-lambda.resources" -}}
{{- $name := .name }}
{{- range $what, $request := .of.requests }}
{{- if hasKey $.of.limits $what }}
{{- $limit := get $.of.limits $what }}
{{- if gt (float64 (include "stock-lambda.quantity" $request)) (float64 (include "stock-lambda.quantity" $limit)) }}
{{- fail (printf "%s.requests.%s: %v is above the limit, %v" $name $what $request $limit) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $kind, $of := .of }}
{{- with get $of "memory" }}
{{- if lt (float64 (include "stock-lambda.quantity" .)) 16777216.0 }}
{{- fail (printf "%s.%s.memory: %v is less than the programs need, 16Mi; is its unit missing?" $name $kind .) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml .of }}
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
