{{/* The name of everything that the chart makes. */}}
{{- define "tokensvc.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which pods of the service are found. */}}
{{- define "tokensvc.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end -}}

{{- define "tokensvc.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tokensvc.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What a pod may do: nothing but run as a user of its own. The master key is readable by its group. */}}
{{- define "tokensvc.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tokensvc.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Settings of the service and of the Job that migrates. Secrets are files. */}}
{{- define "tokensvc.environment" -}}
- {name: TOKENSVC_ISSUER, value: {{ .Values.issuer | quote }}}
- {name: TOKENSVC_HOST, value: "0.0.0.0"}
- {name: TOKENSVC_PORT, value: "8080"}
- {name: TOKENSVC_ADMIN_PORT, value: {{ .Values.operators.port | quote }}}
- {name: TOKENSVC_METRICS_PORT, value: {{ .Values.metrics.port | quote }}}
- {name: TOKENSVC_TRUSTED_PROXY_HOPS, value: {{ .Values.trustedProxyHops | quote }}}
- {name: TOKENSVC_DRAIN_SECONDS, value: {{ .Values.drainSeconds | quote }}}
- {name: TOKENSVC_DATABASE_URL_FILE, value: /run/tokensvc/database/{{ .Values.database.urlKey }}}
- {name: TOKENSVC_MASTER_KEY_FILE, value: /run/tokensvc/master-key/{{ .Values.masterKey.key }}}
- {name: TOKENSVC_DATA_DIR, value: /tmp/tokensvc}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "tokensvc.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: database, mountPath: /run/tokensvc/database, readOnly: true}
- {name: master-key, mountPath: /run/tokensvc/master-key, readOnly: true}
{{- end -}}

{{- define "tokensvc.volumes" -}}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
- name: master-key
  secret: {secretName: {{ .Values.masterKey.existingSecret }}, defaultMode: 0440}
{{- end -}}
