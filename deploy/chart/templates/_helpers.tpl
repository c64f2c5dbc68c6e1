{{/* The labels of deploy/base, and the labels that Helm's tools expect. */}}
{{- define "berth.labels" -}}
app.kubernetes.io/name: berth
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "berth.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* The namespaces that the webhook and the policy handle. */}}
{{- define "berth.rewriteLabel" -}}
{{- if .Values.webhook.optIn -}}
{ key: berth.dev/rewrite, operator: In, values: [enabled] }
{{- else -}}
{ key: berth.dev/rewrite, operator: NotIn, values: [disabled] }
{{- end }}
{{- end }}

{{- define "berth.excluded" -}}
{ key: kubernetes.io/metadata.name, operator: NotIn, values: {{ concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.webhook.excludedNamespaces | toJson }} }
{{- end }}

{{/* Scheduling and image pull secrets of a process. */}}
{{- define "berth.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - { name: {{ . }} }
  {{- end }}
{{- end }}
{{- with .process.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .process.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The environment: the forward proxy, from a Secret or from the values, and the CA bundle. */}}
{{- define "berth.env" -}}
{{- with .Values.proxy }}
{{- if .secret }}
{{- $secret := .secret }}
{{- range list "HTTPS_PROXY" "HTTP_PROXY" "NO_PROXY" }}
- { name: {{ . }}, valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ . }}, optional: true } } }
{{- end }}
{{- else if or .https .http }}
- { name: HTTPS_PROXY, value: {{ .https | quote }} }
- { name: HTTP_PROXY, value: {{ .http | quote }} }
- { name: NO_PROXY, value: {{ .exempt | join "," | quote }} }
{{- end }}
{{- end }}
{{- if .Values.caBundle }}
- { name: NODE_EXTRA_CA_CERTS, value: /etc/berth-ca/ca.crt }
{{- end }}
{{- end }}

{{/* Not empty if the console listens for other pods. */}}
{{- define "berth.consoleUrl" -}}
{{- with .Values.controller.console }}{{ if .enabled }}{{ .url }}{{ end }}{{ end }}
{{- end }}

{{/* Volumes of both processes, besides the config: pull secrets, the CA bundle, and those of the values. */}}
{{- define "berth.volumes" -}}
{{- range .Values.registrySecrets }}
- name: registry-{{ . | replace "." "-" }}
  secret: { secretName: {{ . }}, optional: true }
{{- end }}
{{- if .Values.caBundle }}
- { name: ca-bundle, configMap: { name: berth-ca-bundle } }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "berth.volumeMounts" -}}
{{- range .Values.registrySecrets }}
- { name: registry-{{ . | replace "." "-" }}, mountPath: /var/run/secrets/berth/{{ . }}, readOnly: true }
{{- end }}
{{- if .Values.caBundle }}
- { name: ca-bundle, mountPath: /etc/berth-ca, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
