{{/* Name of the release's objects. */}}
{{- define "grafient.fullname" -}}
{{- if contains "grafient" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-grafient" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels that never change, of a component: (dict "root" $ "name" "connector"). */}}
{{- define "grafient.selector" -}}
app.kubernetes.io/name: grafient
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "grafient.labels" -}}
{{ include "grafient.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: grafient
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "grafient.serviceAccount" -}}
{{ if .Values.serviceAccount.create }}{{ default (include "grafient.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* An image: (dict "root" $ "name" "connector"). */}}
{{- define "grafient.image" -}}
{{- $image := .root.Values.image }}
{{- $name := printf "%s%s%s" $image.registry $image.prefix .name }}
{{- with get $image.digests .name }}{{ $name }}@{{ . }}{{ else }}{{ $name }}:{{ default .root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{/* What Pod Security's level "restricted" asks of a pod. */}}
{{- define "grafient.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What it asks of a container. */}}
{{- define "grafient.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* How a principal reaches Kafka: (dict "root" $ "name" "connector"). */}}
{{- define "grafient.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka }}
- { name: KAFKA_BOOTSTRAP_SERVERS, value: {{ required "kafka.bootstrapServers is not set" $kafka.bootstrapServers | quote }} }
- { name: KAFKA_SECURITY_PROTOCOL, value: {{ $kafka.securityProtocol }} }
{{- if $kafka.topicPartitions }}
- { name: TOPIC_PARTITIONS, value: {{ $kafka.topicPartitions | quote }} }
{{- end }}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
- { name: KAFKA_USERNAME, value: {{ .name | quote }} }
{{- end }}
{{- if $kafka.caSecret }}
- { name: KAFKA_CA_FILE, value: /run/kafka-ca/ca.crt }
{{- end }}
{{- end }}

{{/* Files of a container: (dict "root" $ "secret" NAME "live" (dict "keyring" NAME) "kafka" true). */}}
{{- define "grafient.mounts" -}}
- { name: secrets, mountPath: /run/secrets, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- range $name, $secret := .live }}
- { name: {{ $name | replace "_" "-" }}, mountPath: /run/live/{{ $name }}, readOnly: true }
{{- end }}
{{- if and .kafka .root.Values.kafka.caSecret }}
- { name: kafka-ca, mountPath: /run/kafka-ca, readOnly: true }
{{- end }}
{{- end }}

{{- define "grafient.volumes" -}}
- name: secrets
  secret: { secretName: {{ .secret }}, defaultMode: 0440 }
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 32Mi }
{{- range $name, $secret := .live }}
- name: {{ $name | replace "_" "-" }}
  secret: { secretName: {{ $secret }}, defaultMode: 0440 }
{{- end }}
{{- if and .kafka .root.Values.kafka.caSecret }}
- name: kafka-ca
  secret: { secretName: {{ .root.Values.kafka.caSecret }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end }}
