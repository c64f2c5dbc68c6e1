import { describe, expect, it } from 'vitest'
import { classify, classifyLine } from '../../../src/diagnose/rules/classify.ts'
import { readCorpus } from '../../support/diagnose-corpus.ts'

describe('a line that reports no failed pull', () => {
  it.each([
    'Readiness probe failed: Get "http://10.42.0.9:8080/healthz": dial tcp 10.42.0.9:8080: connect: connection refused',
    'Liveness probe failed: HTTP probe failed with statuscode: 503',
    'Startup probe errored: rpc error: code = Unknown desc = deadline exceeded ("DeadlineExceeded"): context deadline exceeded',
    'Liveness probe failed: Get "https://10.0.0.3:6443/livez": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    'MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found',
    'MountVolume.SetUp failed for volume "config" : configmap "web" not found',
    'MountVolume.SetUp failed for volume "kube-api-access-x7k2p" : failed to fetch token: Post "https://10.0.0.1:443/api/v1/namespaces/a/serviceaccounts/default/token": dial tcp 10.0.0.1:443: i/o timeout',
    'MountVolume.MountDevice failed for volume "pvc-1" : rpc error: code = Internal desc = 403 Forbidden',
    'AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = Internal desc = Could not attach: UnauthorizedOperation: You are not authorized to perform this operation. status code: 403',
    'Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data]: timed out waiting for the condition',
    'Error: configmap "web" not found',
    'Error: secret "database" not found',
    "Error: couldn't find key password in Secret team/database",
    'Error creating: pods "web-6d4f-" is forbidden: exceeded quota: team, requested: pods=1, used: pods=10, limited: pods=10',
    'Error creating: admission webhook "policy.example" denied the request: image r.example/a:1 not allowed: 403',
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "ab12": plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized: Unauthorized',
    'network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized',
    'Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "web": executable file not found in $PATH: unknown',
    'Error: failed to start container "web": Error response from daemon: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/run.sh": permission denied: unknown',
    '0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }, 2 Insufficient memory.',
    'Back-off restarting failed container web in pod web-0_team(1f0e)',
    'failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)',
    'PostStartHook failed',
    'The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 900Mi.',
    'Pulling image "r.example/a:1"',
    'Successfully pulled image "r.example/a:1" in 1.2s (1.2s including waiting). Image size: 12 bytes.',
    'Container image "timeout/unauthorized:429" already present on machine',
    'Readiness probe failed: error pulling image: 401 Unauthorized',
    'Error: context deadline exceeded',
    '(combined from similar events): Readiness probe failed: HTTP probe failed with statuscode: 500',
    'Failed to attach volume: 403 Forbidden',
    'Error updating Endpoint Slices for Service team/web: failed: etcdserver: request timed out',
    'error getting ClusterInformation: Get "https://10.0.0.1:443": dial tcp 10.0.0.1:443: i/o timeout',
    'Failed to create new replica set "web-6d4f": Unauthorized',
    'Failed to verify ACME account: acme: 429 too many requests',
    'Failed deploy model due to AccessDenied: User is not authorized to perform: elasticloadbalancing:CreateTargetGroup',
    'Internal error occurred: failed calling webhook "policy.example": Post "https://policy.team.svc:443": x509: certificate signed by unknown authority',
    'failed to sync configmap cache: timed out waiting for the condition',
    'Error: CreateContainerConfigError',
    'Error: container create failed: creating container: permission denied',
    'Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded',
    'Error: failed to generate container "ab12" spec: failed to generate spec: no command specified',
    'Scaled up replica set web-6d4f from 0 to 1',
    'Deployment does not have minimum availability.',
    '"Readiness probe failed: dial tcp 10.0.0.1:80: connect: connection refused"',
  ])('is recognized: %s', (line) => {
    expect(classifyLine(line).rule.cause).toBe('no-pull-failure')
  })
})

describe('the columns of kubectl and the header of klog', () => {
  const message = 'toomanyrequests: rate exceeded'

  it.each([
    `  Warning  Failed     5m (x3 over 10m)  kubelet            ${message}`,
    `Warning  Failed  <unknown>  kubelet, node-1  ${message}`,
    `12s         Warning   Failed               pod/web-0   ${message}`,
    `E0102 03:04:05.678901    1234 remote_image.go:180] ${message}`,
    `│  Warning  Failed  5m  kubelet  ${message}`,
    `- ${message}`,
    `2026-01-02T03:04:05Z [Warning] ${message}`,
    `2026-01-02 03:04:05.678 +0100 ${message}`,
    `Jan  2 03:04:05 node-1 kubelet[1234]: E0102 03:04:05.678901    1234 remote_image.go:180] ${message}`,
    `containerd[99]: ${message}`,
    `team   12s   Warning   Failed   Pod/web-0   ${message}`,
    `12s  Warning  Failed  pod/web-0  spec.containers{web}  kubelet, node-1  ${message}`,
    `spec.initContainers{setup}: ${message}`,
  ])('are left out of the errors: %s', (line) => {
    expect(classifyLine(line)).toMatchObject({ rule: { id: 'D20' }, errors: [message] })
  })

  it.each([
    ['Warning  Failed  5m (x3 over 10m)  kubelet  Error: ErrImagePull', 'repeated-line'],
    ['Normal  BackOff  5m  kubelet  Back-off pulling image "r.example/a:1"', 'repeated-line'],
    ['Normal  Pulling  5m  kubelet  Pulling image "r.example/a:1"', 'no-pull-failure'],
    ['Normal   AddedInterface  17s  multus  Add eth0 [10.0.0.9/32] from k8s-pod-network', 'no-pull-failure'],
    ['team  5m (x3 over 7m)  Normal  Killing  pod/web-0  Container web timeout unauthorized', 'no-pull-failure'],
    ['2026-01-02T03:04:05Z [Normal] Successfully pulled image "a" in 1.4s (3m including waiting)', 'no-pull-failure'],
    ['2026-01-02T03:04:05Z [Warning] The node was low on resource: ephemeral-storage.', 'no-pull-failure'],
    ['2026-01-02T03:04:05Z [Warning] Container runtime did not kill the pod within specified grace period.', 'no-pull-failure'],
    ['Error response from daemon: [Normal] denied: requested access to the resource is denied', 'private-or-missing'],
    ['3m  Warning  FailedScheduling  pod/web-0  0/3 nodes are available: 3 Insufficient cpu.', 'no-pull-failure'],
  ])('do not hide what the line reports: %s', (line, cause) => {
    expect(classifyLine(line).rule.cause).toBe(cause)
  }) // prettier-ignore
})

describe('a line that repeats a failed pull', () => {
  it.each([
    'Error: ErrImagePull',
    'Error: ImagePullBackOff',
    'Back-off pulling image "r.example/a:1"',
    '"Back-off pulling image \\"r.example/a:1\\""',
    'Error from server (BadRequest): container "app" in pod "web-0" is waiting to start: trying and failing to pull image',
    'container "app" in pod "web-0" is waiting to start: image can\'t be pulled',
    'ERROR: Job failed (system failure): prepare environment: image pull failed: Back-off pulling image "r.example/a:1"',
    String.raw`Error syncing pod, skipping: failed to "StartContainer" for "web" with ImagePullBackOff: "Back-off pulling image \"r.example/a:1\""`,
    String.raw`E0102 03:04:05.678901    1234 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \"StartContainer\" for \"web\" with ImagePullBackOff: \"Back-off pulling image \\\"r.example/a:1\\\"\"" pod="team/web-0" podUID="1f0e"`,
  ])('is recognized: %s', (line) => {
    expect(classifyLine(line).rule.cause).toBe('repeated-line')
  })

  it('is not one with a cause', () => {
    const line = 'Back-off pulling image "r.example/a:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "r.example/a:1": not found' // prettier-ignore

    expect(classifyLine(line).rule.cause).toBe('not-found')
  })
})

describe('a line that reports a failed pull', () => {
  const image = 'r.example/a:1'
  const pull = `Failed to pull image "${image}": rpc error: code = Unknown desc = `
  const unpack = `${pull}failed to pull and unpack image "${image}": failed to extract layer sha256:${'a'.repeat(64)}: `

  it.each([
    [`${pull}reading manifest 1 in r.example/a: denied: User "system:serviceaccount:x:default" is forbidden: cannot get resource "imagestreams/layers"`, 'private-or-missing'],
    [`${pull}Error response from daemon: denied: exceeded quota of the organization`, 'private-or-missing'],
    [`Warning  Failed  3s  kubelet  ${pull}unexpected status: 403 Forbidden: project is forbidden: x`, 'forbidden'],
    [`(combined from similar events): ${pull}denied: exceeded quota of the organization`, 'private-or-missing'],
    [`${unpack}exec: "unpigz": executable file not found in $PATH: unknown`, 'layer-unusable'],
    [`${pull}writing blob: adding layer with blob "sha256:${'0'.repeat(64)}": processing tar file(exec: "fuse-overlayfs": executable file not found in $PATH): exit status 1`, 'layer-unusable'],
    [`Back-off pulling image "${image}": ErrImagePull: failed to unpack image on snapshotter overlayfs: exec: "fuse-overlayfs": executable file not found in $PATH`, 'layer-unusable'],
    [`E0102 03:04:05.678901    1234 remote_image.go:180] "PullImage from image service failed" err="rpc error: code = Unknown desc = denied: user is forbidden: 403 Forbidden" image="${image}"`, 'private-or-missing'],
    ['Error: failed to create containerd task: failed to create shim task: failed to pull manifest Not authorized: url https://r.example/v2/a/manifests/1', 'unauthorized'],
    [`Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "registry.k8s.io/pause:3.10": failed to pull image: user is forbidden: 403`, 'sandbox-image'],
  ])('is not taken for another one, whatever the registry says: %s', (line, cause) => {
    expect(classifyLine(line).rule.cause).toBe(cause)
  }) // prettier-ignore

  const known = (['open', 'held-out'] as const)
    .flatMap((part) => readCorpus(part))
    .filter(({ message }) => classify(message).rule.cause !== 'unknown')

  it.each(known)('keeps its rule: $message', ({ message }) => {
    expect(classifyLine(message).rule.id).toBe(classify(message).rule.id)
  })
})
