{{/* Labels of every object, beside those of deploy/k8s. */}}
{{- define "hubbub.chartLabels" -}}
app.kubernetes.io/part-of: hubbub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of a component's objects. Takes a dict of root and name. */}}
{{- define "hubbub.labels" -}}
app.kubernetes.io/name: {{ .name }}
{{ include "hubbub.chartLabels" .root }}
{{- end }}

{{/* An image. Takes a dict of root and image. */}}
{{- define "hubbub.image" -}}
{{- $image := .root.Values.image -}}
{{- $base := printf "%s/%s" (required "image.registry is required: the registry to which you pushed the images, such as registry.example.com/hubbub" $image.registry) .image -}}
{{- with index $image.digests .image -}}
{{ $base }}@{{ . }}
{{- else -}}
{{ $base }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* A setting as the text of a variable. */}}
{{- define "hubbub.setting" -}}
{{- if kindIs "string" . -}}{{ . }}{{- else if kindIs "bool" . -}}{{ ternary "1" "0" . }}{{- else -}}{{ . | toJson }}{{- end -}}
{{- end }}

{{/* The data of a ConfigMap from settings. */}}
{{- define "hubbub.data" -}}
{{- range $name, $value := . }}
{{ $name }}: {{ include "hubbub.setting" $value | quote }}
{{- end }}
{{- end }}

{{/* Every secret that the processes use, as a JSON map from secret to its keys. */}}
{{- define "hubbub.secretKeys" -}}
{{- $found := dict -}}
{{- $facts := .Files.Get "components.yaml" | fromYaml -}}
{{- range $name, $entry := merge (dict) $facts.components $facts.migrations -}}
{{- range $entry.secrets -}}
{{- $_ := set $found .secret (append (index $found .secret | default list) .key | uniq) -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end }}

{{/* Annotations of what the migrations need before the release's other objects exist. Not in a trial, whose stores start with it. */}}
{{- define "hubbub.hook" -}}
{{- if not .root.Values.trial.enabled -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
{{- end }}
