/** kwok: nodes and pods without machines. It plays the kubelet for nodes that have its annotation. */
import { freePort } from '../../e2e/harness/ports.ts'
import type { Cluster } from '../../e2e/harness/cluster.ts'
import { buildPublishedProgram } from '../../e2e/harness/go-programs.ts'
import { writeRunFile } from '../../e2e/harness/local-cluster/files.ts'
import { exitReason, startProcess, stopProcess } from '../../e2e/harness/processes.ts'

export const kwokVersion = 'v0.8.0'

/** Builds kwok once; returns the path of the program. */
export function buildKwok(): Promise<string> {
  return buildPublishedProgram('sigs.k8s.io/kwok/cmd/kwok', kwokVersion)
}

const annotation = { 'kwok.x-k8s.io/node': 'fake' }

/** What kwok does with new nodes and pods: it sets the status that a kubelet would. */
const stages = `apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options: { podPlayStageParallelism: 32, nodePlayStageParallelism: 16, nodeLeaseParallelism: 4, podsOnNodeSyncParallelism: 8 }
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: node-ready }
spec:
  resourceRef: { apiGroup: v1, kind: Node }
  selector:
    matchExpressions:
      - { key: '.status.nodeInfo.kubeletVersion', operator: NotIn, values: [fake] }
  next:
    statusTemplate: |
      {{ $now := Now }}
      conditions:
        - { type: Ready, status: "True", reason: KubeletReady, lastHeartbeatTime: {{ $now }}, lastTransitionTime: {{ $now }} }
      nodeInfo: { architecture: amd64, operatingSystem: linux, kubeletVersion: fake, bootID: "", containerRuntimeVersion: "", kernelVersion: "", kubeProxyVersion: "", machineID: "", osImage: "", systemUUID: "" }
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: pod-ready }
spec:
  resourceRef: { apiGroup: v1, kind: Pod }
  selector:
    matchExpressions:
      - { key: '.status.startTime', operator: DoesNotExist }
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now }}
      conditions:
        - { type: Ready, status: "True", lastTransitionTime: {{ $now }} }
      containerStatuses:
      {{ range .spec.containers }}
        - name: {{ .name | Quote }}
          image: {{ .image | Quote }}
          imageID: {{ .image | Quote }}
          ready: true
          restartCount: 0
          state: { running: { startedAt: {{ $now }} } }
      {{ end }}
`

export type Kwok = {
  /** Returns the end of its log if it has exited. */
  readonly stopReason: () => string | undefined
  readonly stop: () => Promise<void>
}

/** Starts kwok on a cluster. It runs the pods of the nodes that `kwokNode` describes, and no others. */
export async function startKwok({ runDir, kubeconfig }: Cluster): Promise<Kwok> {
  const record = await startProcess(runDir, {
    name: 'kwok',
    command: await buildKwok(),
    args: [
      `--kubeconfig=${kubeconfig}`,
      `--config=${writeRunFile(runDir, 'kwok.yaml', stages)}`,
      '--manage-all-nodes=false',
      '--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake',
      '--cidr=10.216.0.0/14',
      '--node-lease-duration-seconds=200',
      `--server-address=127.0.0.1:${await freePort('127.0.0.1')}`,
    ],
  })
  return { stopReason: exitReason(runDir, record), stop: () => stopProcess(runDir, record) }
}

/** A node that kwok keeps ready. The taint keeps the pods of the cluster itself away. */
export function kwokNode(name: string): object {
  const capacity = { cpu: '1k', memory: '1Ti', pods: '1000' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: annotation,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/os': 'linux',
      },
    },
    spec: { taints: [{ key: 'kwok.x-k8s.io/node', value: 'fake', effect: 'NoSchedule' }] },
    status: { allocatable: capacity, capacity, phase: 'Running' },
  }
}
