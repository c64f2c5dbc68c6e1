/** etcd, the API server, the controller manager and the scheduler. */
import { join } from 'node:path'
import type { ApiServerConfig } from '../api-server-config.ts'
import { kubectlOn } from '../kubectl.ts'
import { freePorts } from '../ports.ts'
import type { ProcessRecord } from '../processes.ts'
import { exitReason, startProcess } from '../processes.ts'
import { waitFor } from '../wait.ts'
import { network } from './files.ts'
import type { Pki } from './pki.ts'

/** The programs, files and keys of a control plane, and the port of its API server. */
export type ControlPlane = {
  runDir: string
  bin: string
  pki: Pki
  apiPort: number
  apiServer: ApiServerConfig
}

/**
 * Starts etcd and the API server and waits until it is ready. The API server listens on the node's address only: the tests
 * and the pods reach that, and other machines do not.
 */
export async function startApiServer(plane: ControlPlane): Promise<void> {
  const { runDir, bin, pki, apiPort } = plane
  const [client, peer] = await freePorts(2)
  const etcd = `http://127.0.0.1:${client}`
  await startProcess(runDir, {
    name: 'etcd',
    command: join(bin, 'etcd'),
    // Without fsync: the data is deleted with the cluster.
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
      // Calls webhooks at their endpoints, because service addresses may not be reachable from this process.
      '--enable-aggregator-routing',
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-client-certificate=${pki.kubeletClient.certificate}`,
      `--kubelet-client-key=${pki.kubeletClient.key}`,
      ...Object.entries(plane.apiServer.flags).map(([name, value]) => `--${name}=${value}`),
    ],
  })
  await waitForKubectl(plane, 'the API server', ['get', '--raw', '/readyz'], { process: apiServer })
}

/** Starts the controller manager and the scheduler, without ports. */
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
      // The default is a directory of the machine, which it would create.
      `--flex-volume-plugin-dir=${runDir}/volume-plugins`,
    ],
  })
  await startProcess(runDir, {
    name: 'kube-scheduler',
    command: join(bin, 'kube-scheduler'),
    args: common,
  })
  // Pods are rejected until their namespace has this account.
  const account = ['get', 'serviceaccount', 'default', '--namespace=default']
  await waitForKubectl(plane, 'the default service account', account, { process: controllers })
}

/** Waits until a kubectl command on the starting cluster succeeds and its output matches. */
export async function waitForKubectl(
  { runDir, bin, pki }: ControlPlane,
  description: string,
  args: readonly string[],
  { process, output = /./ }: { process: ProcessRecord; output?: RegExp },
): Promise<void> {
  const cluster = { runDir, kubectl: join(bin, 'kubectl'), kubeconfig: pki.kubeconfig }
  const check = async () => {
    const { stdout, stderr, code } = await kubectlOn(cluster, args)
    if (code === 0 && output.test(stdout)) return true
    throw new Error(stderr || stdout)
  }
  await waitFor(description, check, { stopReason: exitReason(runDir, process) })
}
