{{- define "countersign.labels" -}}
app.kubernetes.io/name: countersign
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What a kind of pod is selected by: (list . "authority"). */}}
{{- define "countersign.selector" -}}
app.kubernetes.io/name: countersign
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "countersign.authority" -}}
{{ .Release.Name }}-authority
{{- end }}

{{- define "countersign.edge" -}}
{{ .Release.Name }}-edge
{{- end }}

{{- define "countersign.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What every pod is closed with. */}}
{{- define "countersign.podSecurity" -}}
automountServiceAccountToken: false
# Variables of the platform for a service called countersign would be taken for settings.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGraceSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "countersign.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Where pods of a kind go, one to a machine where that can be: (list . "authority" .Values.authority). */}}
{{- define "countersign.placement" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "countersign.selector" . | nindent 8 }}
{{- with (index . 2).nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 2).tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Variables that both kinds have. The folder is one that the process makes, and closes, itself. */}}
{{- define "countersign.env" -}}
- name: COUNTERSIGN_DATA_DIR
  value: /var/lib/countersign/data
- name: COUNTERSIGN_CONFIG
  value: /etc/countersign-server/countersign.toml
- name: COUNTERSIGN_LOG_FORMAT
  value: json
{{- if .Values.metrics.enabled }}
- name: COUNTERSIGN_METRICS_LISTEN
  value: {{ printf "0.0.0.0:%v" .Values.metrics.port | quote }}
{{- end }}
{{- end }}

{{/* Where a pod listens: (list . .Values.authority). */}}
{{- define "countersign.ports" -}}
- { name: door, containerPort: 8443 }
{{- range (index . 1).doors }}
- { name: {{ .name }}, containerPort: {{ .port }} }
{{- end }}
{{- with (index . 0).Values.metrics }}
{{- if .enabled }}
- { name: metrics, containerPort: {{ .port }} }
{{- end }}
{{- end }}
{{- end }}

{{/* The kinds of pods that there are to be, with spaces between. */}}
{{- define "countersign.kinds" -}}
{{- if gt (int .Values.authority.replicas) 0 }}authority{{ end }} {{ if gt (int .Values.edges.replicas) 0 }}edge{{ end }}
{{- end }}
