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

{{- define "sealwright.env" -}}
- {name: SEALWRIGHT_DATABASE_URL_FILE, value: /run/secrets/database/url}
- {name: SEALWRIGHT_PIN_LATCH_SECRET_FILE, value: /run/secrets/latch/pin-latch}
- {name: SEALWRIGHT_TOKENS_FILE, value: /etc/sealwright/tokens.yaml}
- {name: SEALWRIGHT_REGISTRIES_FILE, value: /etc/sealwright/registries.yaml}
- {name: SEALWRIGHT_POLICY_FILE, value: /etc/sealwright/policy.yaml}
- {name: SEALWRIGHT_STATE_DIR, value: /var/lib/sealwright}
- {name: SEALWRIGHT_CHECKPOINTS_DIR, value: /var/lib/sealwright/checkpoints/kept}
- {name: SEALWRIGHT_EMBEDDED_WORKER, value: "0"}
{{- with .Values.logName }}
- {name: SEALWRIGHT_LOG_NAME, value: {{ . | quote }}}
{{- end }}
{{- with .Values.trustedProxies }}
- {name: SEALWRIGHT_TRUSTED_PROXIES, value: {{ . | quote }}}
{{- end }}
{{- with .Values.hsm.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sealwright.mounts" -}}
- {name: config, mountPath: /etc/sealwright, readOnly: true}
- {name: database, mountPath: /run/secrets/database, readOnly: true}
- {name: latch, mountPath: /run/secrets/latch, readOnly: true}
- {name: pins, mountPath: /run/secrets/pins, readOnly: true}
{{- if .Values.secrets.registries }}
- {name: registries, mountPath: /run/secrets/registries, readOnly: true}
{{- end }}
- {name: state, mountPath: /var/lib/sealwright}
- {name: tmp, mountPath: /tmp}
{{- if .Values.hsm.module.image }}
- {name: module, mountPath: /opt/hsm, readOnly: true}
{{- end }}
{{- with .Values.hsm.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sealwright.volumes" -}}
- name: config
  configMap: {name: {{ include "sealwright.name" . }}}
- name: database
  secret: {secretName: {{ .Values.secrets.database }}, defaultMode: 0440}
- name: latch
  secret: {secretName: {{ .Values.secrets.latch }}, defaultMode: 0440}
- name: pins
  secret: {secretName: {{ .Values.secrets.pins }}, defaultMode: 0440}
{{- if .Values.secrets.registries }}
- name: registries
  secret: {secretName: {{ .Values.secrets.registries }}, defaultMode: 0440}
{{- end }}
- {name: state, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- if .Values.hsm.module.image }}
- {name: module, emptyDir: {}}
{{- end }}
{{- with .Values.hsm.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
A kind of server: a StatefulSet, because each replica keeps the newest checkpoint of each log on
a volume of its own. Takes root, component, replicas, args, resources, and for an API server
workers, threads and readyFor.
*/}}
{{- define "sealwright.server" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "sealwright.name" $root }}-{{ .component }}
  labels:
    {{- include "sealwright.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  serviceName: {{ include "sealwright.name" $root }}-{{ .component }}-pods
  replicas: {{ .replicas }}
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
      {{- if .image }}
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
          args: {{ toJson .args }}
          securityContext: {{- include "sealwright.containerSecurity" $root | nindent 12 }}
          env:
            {{- include "sealwright.env" $root | nindent 12 }}
            {{- if .readyFor }}
            - {name: SEALWRIGHT_BIND, value: "0.0.0.0:8750"}
            - {name: SEALWRIGHT_WORKERS, value: {{ .workers | quote }}}
            - {name: SEALWRIGHT_THREADS, value: {{ .threads | quote }}}
            {{- end }}
          {{- if .readyFor }}
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
            httpGet: {path: "/readyz?for={{ .readyFor }}", port: http}
            periodSeconds: 5
            timeoutSeconds: 5
          {{- end }}
          resources: {{- toYaml .resources | nindent 12 }}
          volumeMounts:
            {{- include "sealwright.mounts" $root | nindent 12 }}
            - {name: checkpoints, mountPath: /var/lib/sealwright/checkpoints}
      volumes:
        {{- include "sealwright.volumes" $root | nindent 8 }}
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
  {{- if .readyFor }}
  ports:
    - {name: http, port: 8750, targetPort: http}
  {{- end }}
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
