/**
 * The component cert-manager with the real cert-manager, `failurePolicy: Fail` and a steady stream of pods: the certificate is
 * issued and renewed, its CA is renewed and replaced, and no pod is rejected.
 */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { currentCluster } from '../harness/cluster.ts'
import { runOk } from '../harness/command.ts'
import { applyKustomization, podsOfComponent, waitForRollout } from '../harness/install.ts'
import { getJson, kubectlOk } from '../harness/kubectl.ts'
import { log } from '../harness/log.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { readDocs } from '../harness/paths.ts'
import { type PodStream, startPodStream } from '../harness/pod-stream.ts'
import { waitFor } from '../harness/wait.ts'
import { waitUntilRewritten } from '../harness/webhook.ts'
import { startCertManager } from './cert-manager.ts'

const cluster = currentCluster()
let stopCertManager: () => Promise<void>
let registries: MirrorAndUpstream
let overlay: string
let stream: PodStream

beforeAll(async () => {
  stopCertManager = await startCertManager()
  registries = await startMirrorAndUpstream('cert-manager', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  overlay = writeOverlay('cert-manager', {
    base: 'deploy/base',
    files: { 'berth.yaml': registries.config },
    components: ['cert-manager', 'fail-closed'],
  })
  await applyKustomization(overlay)
  await waitForRollout()
  await waitUntilRewritten('app')
  stream = await startPodStream(['app'])
}, 3_600_000)

afterAll(async () => {
  await stream?.stop()
  if (overlay !== undefined) await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
  await registries?.stop()
  await stopCertManager?.()
})

/** Returns a certificate in a Secret, for example its `tls.crt`; undefined if the Secret does not exist. */
async function certificateIn(secret: string, key: string): Promise<X509Certificate | undefined> {
  try {
    const { data } = await getJson<{ data: Record<string, string> }>('secret', secret, namespace)
    return new X509Certificate(Buffer.from(data[key] ?? '', 'base64'))
  } catch {
    return undefined
  }
}

async function servingCertificate(): Promise<X509Certificate> {
  const certificate = await certificateIn('berth-webhook-tls', 'tls.crt')
  if (certificate === undefined) throw new Error('there is no serving certificate')
  return certificate
}

/** Returns the serial numbers of the certificates that the replicas serve. */
async function servedSerials(): Promise<string[]> {
  const pods = await podsOfComponent('webhook')
  return Promise.all(
    pods.map(async ({ address }) => {
      const socket = connect({ host: address, port: 8443, rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }),
  )
}

async function caBundles(): Promise<string[]> {
  const { webhooks } = await getJson<{ webhooks: { clientConfig: { caBundle: string } }[] }>(
    'mutatingwebhookconfiguration',
    'berth',
  )
  return webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle, 'base64').toString())
}

/** Makes cert-manager renew a Certificate now, as `cmctl renew` does; returns when its Secret has the new one. */
async function renew(certificate: string, secret: string): Promise<void> {
  const before = await certificateIn(secret, 'tls.crt')
  const condition = {
    type: 'Issuing',
    status: 'True',
    reason: 'ManuallyTriggered',
    message: 'renewed by a test',
    lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ''),
  }
  const patch = [{ op: 'add', path: '/status/conditions/-', value: condition }]
  const target = ['certificate', certificate, '-n', namespace, '--subresource=status']
  await kubectlOk(['patch', ...target, '--type=json', '-p', JSON.stringify(patch)])
  await waitFor(`a new ${secret}`, async () => {
    const current = await certificateIn(secret, 'tls.crt')
    return current !== undefined && current.serialNumber !== before?.serialNumber
  })
}

async function waitUntilServed(): Promise<void> {
  const { serialNumber } = await servingCertificate()
  await waitFor('the new certificate on every replica', async () => {
    const served = await servedSerials()
    return served.length === 3 && served.every((serial) => serial === serialNumber)
  })
}

/** Returns the pods that were rejected, also over new connections: open ones keep the certificate that they began with. */
async function failuresAfter(change: string): Promise<unknown[]> {
  await kubectlOk(['rollout', 'restart', 'deployment/berth-webhook', '-n', namespace])
  await waitForRollout()
  await stream.waitForPods(20)
  const { created, failures } = stream.takeCount()
  log(`${change}: ${created} pods created, ${failures.length} rejected`)
  return failures
}

/**
 * Returns the commands of docs/operations.md that replace the key of the CA: those before and those after the wait. Both sets
 * are scripts of their own, so the second one also sets the variable of the first.
 */
function documentedCommands(): string[] {
  const blocks = readDocs('operations.md').matchAll(/^```sh\n([^]*?)^```$/gm)
  const [block = ''] = [...blocks].flatMap(([, text = '']) =>
    text.includes('inject-ca-from') ? [text] : [],
  )
  const [replace = '', finish = ''] = block.split(/^# When every pod.*\n/m)
  return [replace, `${/^new=.*\n/m.exec(replace)?.[0] ?? ''}${finish}`]
}

async function runCommands(script: string): Promise<void> {
  const { kubectl: program, kubeconfig, runDir } = cluster
  await runOk('bash', ['-euo', 'pipefail', '-c', script], {
    env: {
      KUBECONFIG: kubeconfig,
      KUBECACHEDIR: join(runDir, 'kubectl-cache'),
      PATH: `${dirname(program)}:${process.env['PATH'] ?? ''}`,
    },
  })
}

test('cert-manager issues the certificate, and its cainjector publishes the CA', async () => {
  const serving = await servingCertificate()
  const ca = await certificateIn('berth-ca', 'tls.crt')

  expect(ca && serving.checkIssued(ca)).toBe(true)
  expect(serving.subjectAltName).toContain(`DNS:berth-webhook.${namespace}.svc`)
  expect(await caBundles()).toEqual([ca?.toString(), ca?.toString()])
  await waitUntilServed()
})

test('renewing the serving certificate rejects no pod', async () => {
  stream.takeCount()
  await renew('berth-webhook', 'berth-webhook-tls')
  await waitUntilServed()

  expect(await failuresAfter('a renewed serving certificate')).toEqual([])
})

test('renewing the CA rejects no pod, because it keeps its key', async () => {
  stream.takeCount()
  const before = await servingCertificate()
  await renew('berth-ca', 'berth-ca')
  await renew('berth-webhook', 'berth-webhook-tls')
  const ca = await certificateIn('berth-ca', 'tls.crt')
  await waitFor('the new CA in the caBundles', async () =>
    (await caBundles()).every((bundle) => ca !== undefined && bundle.includes(ca.toString())),
  )
  await waitUntilServed()

  expect(await failuresAfter('a renewed CA')).toEqual([])
  expect(ca && before.verify(ca.publicKey)).toBe(true)
})

test('replacing the key of the CA as the documentation describes rejects no pod', async () => {
  stream.takeCount()
  const old = await certificateIn('berth-ca', 'tls.crt')
  const [replace = '', finish = ''] = documentedCommands()
  await runCommands(replace)
  const replaced = await certificateIn('berth-ca', 'tls.crt')
  await waitFor('a certificate of the new CA', async () => {
    const serving = await certificateIn('berth-webhook-tls', 'tls.crt')
    return replaced !== undefined && serving?.verify(replaced.publicKey)
  })
  await waitUntilServed()
  await runCommands(finish)
  await waitFor('the new CA alone in the caBundles', async () =>
    (await caBundles()).every((bundle) => bundle === replaced?.toString()),
  )

  expect(await failuresAfter('a replaced CA')).toEqual([])
  expect(old && replaced?.publicKey.equals(old.publicKey)).toBe(false)
})
