{{- define "tetherline.name" -}}
{{- ternary .Release.Name (printf "%s-tetherline" .Release.Name) (contains "tetherline" .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "tetherline.selector" -}}
app.kubernetes.io/name: tetherline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tetherline.labels" -}}
{{ include "tetherline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tetherline.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* What a text, a number or a list is in JSON, it is in TOML, too. */ -}}
{{- define "tetherline.settings" -}}
{{- range $name, $value := .Values.settings }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end -}}

{{- define "tetherline.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ['ALL']
{{- end -}}

{{- define "tetherline.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}
