{{- define "sealwright.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sealwright.labels" -}}
app.kubernetes.io/name: sealwright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* What every pod of this release has in common; a kind of server adds its component. */}}
{{- define "sealwright.selector" -}}
app.kubernetes.io/name: sealwright
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sealwright.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "sealwright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Whether servers of these roles reach the HSM; those that do not get neither module nor PIN. */}}
{{- define "sealwright.hsm" -}}
{{- if ne (join "," .) "verify" }}yes{{ end -}}
{{- end -}}

{{/* The next three take root and roles. */}}
{{- define "sealwright.env" -}}
- {name: SEALWRIGHT_ROLES, value: {{ join "," .roles | quote }}}
- {name: SEALWRIGHT_DATABASE_URL_FILE, value: /run/secrets/database/url}
- {name: SEALWRIGHT_REGISTRIES_FILE, value: /etc/sealwright/registries.yaml}
- {name: SEALWRIGHT_POLICY_FILE, value: /etc/sealwright/policy.yaml}
- {name: SEALWRIGHT_STATE_DIR, value: /var/lib/sealwright}
- {name: SEALWRIGHT_CHECKPOINTS_DIR, value: /var/lib/sealwright/checkpoints/kept}
{{- with .root.Values.logName }}
- {name: SEALWRIGHT_LOG_NAME, value: {{ . | quote }}}
{{- end }}
{{- with .root.Values.trustedProxies }}
- {name: SEALWRIGHT_TRUSTED_PROXIES, value: {{ . | quote }}}
{{- end }}
{{- if include "sealwright.hsm" .roles }}
- {name: SEALWRIGHT_PIN_LATCH_SECRET_FILE, value: /run/secrets/latch/pin-latch}
- {name: SEALWRIGHT_TOKENS_FILE, value: /etc/sealwright/tokens.yaml}
{{- with .root.Values.hsm.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sealwright.mounts" -}}
- {name: config, mountPath: /etc/sealwright, readOnly: true}
- {name: database, mountPath: /run/secrets/database, readOnly: true}
{{- if .root.Values.secrets.registries }}
- {name: registries, mountPath: /run/secrets/registries, readOnly: true}
{{- end }}
- {name: state, mountPath: /var/lib/sealwright}
- {name: tmp, mountPath: /tmp}
{{- if include "sealwright.hsm" .roles }}
- {name: latch, mountPath: /run/secrets/latch, readOnly: true}
- {name: pins, mountPath: /run/secrets/pins, readOnly: true}
{{- if .root.Values.hsm.module.image }}
- {name: module, mountPath: /opt/hsm, readOnly: true}
{{- end }}
{{- with .root.Values.hsm.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sealwright.volumes" -}}
- name: config
  configMap: {name: {{ include "sealwright.name" .root }}}
- name: database
  secret: {secretName: {{ .root.Values.secrets.database }}, defaultMode: 0440}
{{- with .root.Values.secrets.registries }}
- name: registries
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
- {name: state, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- if include "sealwright.hsm" .roles }}
- name: latch
  secret: {secretName: {{ .root.Values.secrets.latch }}, defaultMode: 0440}
- name: pins
  secret: {secretName: {{ .root.Values.secrets.pins }}, defaultMode: 0440}
{{- if .root.Values.hsm.module.image }}
- {name: module, emptyDir: {}}
{{- end }}
{{- with .root.Values.hsm.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A kind of server: a StatefulSet, because each replica keeps the newest checkpoint of each log on
a volume of its own. Takes root, component, and server: its roles, readyFor, replicas, workers,
threads and resources.
*/}}
{{- define "sealwright.server" -}}
{{- $root := .root -}}
{{- $server := .server -}}
{{- $part := dict "root" .root "roles" .server.roles -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "sealwright.name" $root }}-{{ .component }}
  labels:
    {{- include "sealwright.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  serviceName: {{ include "sealwright.name" $root }}-{{ .component }}-pods
  replicas: {{ $server.replicas }}
  podManagementPolicy: Parallel
  updateStrategy: {type: RollingUpdate}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Delete}
  selector:
    matchLabels:
      {{- include "sealwright.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "sealwright.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
      annotations:
        checksum/tokens: {{ $root.Values.config.tokens | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "sealwright.name" $root }}
      automountServiceAccountToken: false
      # gunicorn waits 30 seconds for a batch in flight.
      terminationGracePeriodSeconds: 45
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "sealwright.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
      {{- with $root.Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.hsm.module }}
      {{- if and .image (include "sealwright.hsm" $server.roles) }}
      initContainers:
        - name: module
          image: {{ .image }}
          command: {{- toYaml .command | nindent 12 }}
          securityContext: {{- include "sealwright.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            - {name: module, mountPath: /opt/hsm}
      {{- end }}
      {{- end }}
      containers:
        - name: sealwright
          image: {{ include "sealwright.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [serve]
          securityContext: {{- include "sealwright.containerSecurity" $root | nindent 12 }}
          env:
            {{- include "sealwright.env" $part | nindent 12 }}
            - {name: SEALWRIGHT_BIND, value: "0.0.0.0:8750"}
            - {name: SEALWRIGHT_WORKERS, value: {{ $server.workers | quote }}}
            - {name: SEALWRIGHT_THREADS, value: {{ $server.threads | quote }}}
          ports:
            - {name: http, containerPort: 8750}
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 1
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
          readinessProbe:
            httpGet: {path: "/readyz?for={{ $server.readyFor }}", port: http}
            periodSeconds: 5
            timeoutSeconds: 5
          resources: {{- toYaml ($server.resources | default dict) | nindent 12 }}
          volumeMounts:
            {{- include "sealwright.mounts" $part | nindent 12 }}
            - {name: checkpoints, mountPath: /var/lib/sealwright/checkpoints}
      volumes:
        {{- include "sealwright.volumes" $part | nindent 8 }}
  volumeClaimTemplates:
    - metadata:
        name: checkpoints
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $root.Values.checkpoints.storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests: {storage: {{ $root.Values.checkpoints.size }}}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sealwright.name" $root }}-{{ .component }}-pods
  labels: {{- include "sealwright.labels" $root | nindent 4 }}
spec:
  clusterIP: None
  selector:
    {{- include "sealwright.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  ports:
    - {name: http, port: 8750, targetPort: http}
{{- end -}}

{{/* One rule, or none where no network was named. */}}
{{- define "sealwright.egress" -}}
{{- if and .cidrs .ports }}
- to:
    {{- range .cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}
{{- end -}}
