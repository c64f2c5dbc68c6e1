import { join } from 'node:path'
import { kubectlOn } from '../kubectl.ts'
import { freePorts } from '../ports.ts'
import type { ProcessRecord } from '../processes.ts'
import { exitReason, startProcess } from '../processes.ts'
import { waitFor } from '../wait.ts'
import { network, writeRunJson } from './files.ts'
import type { Pki } from './pki.ts'

/** Where a control plane runs: its programs, its files, its keys, and the port its API server is to use. */
export type ControlPlane = { runDir: string; bin: string; pki: Pki; apiPort: number }

/**
 * Starts etcd and the API server and waits until it is ready. The API server listens at the node's own address alone:
 * tests on this machine reach that as well as pods do, and no other machine does.
 */
export async function startApiServer(plane: ControlPlane): Promise<void> {
  const { runDir, bin, pki, apiPort } = plane
  const [client, peer] = await freePorts(2)
  const etcd = `http://127.0.0.1:${client}`
  await startProcess(runDir, {
    name: 'etcd',
    command: join(bin, 'etcd'),
    // The data is thrown away with the cluster, so nothing has to wait for the disk.
    args: [
      `--data-dir=${runDir}/etcd`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
    ],
  })
  const apiServer = await startProcess(runDir, {
    name: 'kube-apiserver',
    command: join(bin, 'kube-apiserver'),
    args: [
      `--etcd-servers=${etcd}`,
      `--secure-port=${apiPort}`,
      `--bind-address=${network.nodeAddress}`,
      `--advertise-address=${network.nodeAddress}`,
      `--tls-cert-file=${pki.apiServer.certificate}`,
      `--tls-private-key-file=${pki.apiServer.key}`,
      `--service-account-key-file=${pki.serviceAccount.publicKey}`,
      `--service-account-signing-key-file=${pki.serviceAccount.privateKey}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-cluster-ip-range=${network.serviceRange}`,
      `--token-auth-file=${pki.tokens}`,
      `--client-ca-file=${pki.ca}`,
      '--authorization-mode=Node,RBAC',
      '--allow-privileged',
      // Aggregated APIs are asked at their endpoints: this process is on the machine, where service addresses may not lead.
      '--enable-aggregator-routing',
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-client-certificate=${pki.kubeletClient.certificate}`,
      `--kubelet-client-key=${pki.kubeletClient.key}`,
      `--audit-policy-file=${writeRunJson(runDir, 'audit-policy.yaml', auditPolicy)}`,
      `--audit-log-path=${auditLog(runDir)}`,
    ],
  })
  await waitForKubectl(plane, 'the API server', ['get', '--raw', '/readyz'], { process: apiServer })
}

/** Starts the controllers and the scheduler; neither serves anything, so neither needs a port. */
export async function startControllers(plane: ControlPlane): Promise<void> {
  const { runDir, bin, pki } = plane
  const common = [`--kubeconfig=${pki.kubeconfig}`, '--leader-elect=false', '--secure-port=0']
  const controllers = await startProcess(runDir, {
    name: 'kube-controller-manager',
    command: join(bin, 'kube-controller-manager'),
    args: [
      ...common,
      `--service-account-private-key-file=${pki.serviceAccount.privateKey}`,
      `--root-ca-file=${pki.ca}`,
      // The default is a directory of the machine, which would be made.
      `--flex-volume-plugin-dir=${runDir}/volume-plugins`,
    ],
  })
  await startProcess(runDir, {
    name: 'kube-scheduler',
    command: join(bin, 'kube-scheduler'),
    args: common,
  })
  // Pods are refused until their namespace has this account.
  const account = ['get', 'serviceaccount', 'default', '--namespace=default']
  await waitForKubectl(plane, 'the default service account', account, { process: controllers })
}

/** Where the API server writes its audit events. */
export function auditLog(runDir: string): string {
  return join(runDir, 'log', 'audit.log')
}

/** Bodies of what happens to pods, because that is what Berth changes; of the rest, who did what. */
const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'RequestResponse', resources: [{ group: '', resources: ['pods'] }] },
    { level: 'Metadata' },
  ],
}

/** Waits until a kubectl command on the starting cluster prints what is expected (anything, by default). */
export async function waitForKubectl(
  { runDir, bin, pki }: ControlPlane,
  what: string,
  args: readonly string[],
  { process, output = /./ }: { process: ProcessRecord; output?: RegExp },
): Promise<void> {
  const cluster = { runDir, kubectl: join(bin, 'kubectl'), kubeconfig: pki.kubeconfig }
  const look = async () => {
    const { stdout, stderr, code } = await kubectlOn(cluster, args)
    if (code === 0 && output.test(stdout)) return true
    throw new Error(stderr || stdout)
  }
  await waitFor(what, look, { stopReason: exitReason(runDir, process) })
}
