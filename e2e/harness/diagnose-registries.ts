/** Registries that fail in every way that `berth diagnose` tells apart, and a config that reaches them. */
import { writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { type FaultyRegistry, startFaultyRegistry } from './faulty-registry.ts'
import { pushImage, pushIndex } from './images.ts'
import { getJson, kubectlOk } from './kubectl.ts'
import { removeNodeHost, setNodeHost } from './node-hosts.ts'
import { type Registry, startRegistry } from './registry.ts'
import { type ScriptedRegistry, startScriptedRegistry } from './scripted-registry.ts'

export const puller = { username: 'puller', password: 'canary-diagnose' }

export const ecrHost = '818140567777.dkr.ecr.us-east-1.amazonaws.com'

export type DiagnoseRegistries = {
  open: Registry
  locked: Registry
  /** The path of a config with the endpoint of each registry, and with a mirror for `mirrored.example`. */
  config: string
  stop(): Promise<void>
}

/** Starts the registries. The node reaches each one under the host in the images of the scenario. */
export async function startDiagnoseRegistries(cluster: Cluster): Promise<DiagnoseRegistries> {
  const { address, runDir } = cluster
  const open = await startRegistry(cluster, { name: 'diagnose-open' })
  const locked = await startRegistry(cluster, { name: 'diagnose-locked', htpasswd: puller })
  const busy: FaultyRegistry = await startFaultyRegistry(address)
  busy.respondWith(429)
  const broken = await startFaultyRegistry(address)
  broken.respondWith(503)
  const scripted = await startScriptedRegistries(address)
  const hanging = createServer(() => {})
  hanging.listen(0, address)
  await once(hanging, 'listening')
  const endpoints: Record<string, string> = {
    ...Object.fromEntries(Object.entries(scripted).map(([host, { url }]) => [host, url])),
    // The loopback address of the node.
    'down.example': 'http://127.0.0.1:1',
    'refused.example': `http://${await nodeAddress()}:1`,
    'mirrored.example': 'http://127.0.0.1:1',
    'plain.example': `https://${open.host}`,
    'nowhere.example': 'https://nowhere.invalid',
    'busy.example': busy.url,
    'broken.example': broken.url,
    'hanging.example': `https://${address}:${(hanging.address() as AddressInfo).port}`,
    [ecrHost]: locked.url,
  }
  for (const [host, url] of Object.entries(endpoints)) setNodeHost(cluster, host, [url])
  await pushImages(open, locked)
  const config = writeConfig(runDir, { open, locked, endpoints })
  return {
    open,
    locked,
    config,
    stop: async () => {
      for (const host of Object.keys(endpoints)) removeNodeHost(cluster, host)
      await Promise.all([open.stop(), locked.stop(), busy.close(), broken.close()])
      await Promise.all(Object.values(scripted).map((registry) => registry.close()))
      hanging.close()
      hanging.unref()
    },
  }
}

/** Starts the scripted registries; returns them by the host in the images. */
async function startScriptedRegistries(address: string) {
  return {
    'docker.io': await startScriptedRegistry(address, {
      tokens: 'granted',
      account: puller,
      open: { 'freeipa/freeipa-server': ['almalinux-9', 'fedora-39', 'rocky-9'] },
      closed: { 'team/app': ['1'], 'your-org/ushadow-backend': ['latest'] },
    }),
    'ghcr.io': await startScriptedRegistry(address, {
      tokens: 'granted',
      open: { 'rclone/rclone': ['1.69.1', '1.70.0', 'latest'] },
    }),
    'registry.redhat.io': await startScriptedRegistry(address, {
      tokens: 'refused',
      account: puller,
      closed: { 'redhat/redhat-operator-index': ['v4.20'] },
    }),
    'ca.example': await startScriptedRegistry(address, { tls: address }),
    'names.example': await startScriptedRegistry(address, { tls: 'other.example' }),
    'half.example': await startScriptedRegistry(address, {
      open: { 'team/app': ['1'] },
      damage: 'no-blobs',
    }),
    'altered.example': await startScriptedRegistry(address, {
      open: { 'team/app': ['1'] },
      damage: 'other-bytes',
    }),
  } satisfies Record<string, ScriptedRegistry>
}

/** Writes a config with the endpoint of each registry; returns its path. */
function writeConfig(
  runDir: string,
  registries: { open: Registry; locked: Registry; endpoints: Record<string, string> },
): string {
  const { open, locked, endpoints } = registries
  const auth = Buffer.from(`${puller.username}:${puller.password}`).toString('base64')
  const dockerConfig = join(runDir, 'diagnose-docker.json')
  writeFileSync(dockerConfig, JSON.stringify({ auths: { 'docker.io': { auth } } }))
  const config = join(runDir, 'diagnose.yaml')
  const entries = Object.entries({
    ...endpoints,
    // The real scheme; the node has https.
    'plain.example': open.url,
    [open.host]: open.url,
    [locked.host]: locked.url,
  }).map(([host, endpoint]) => ({
    host,
    endpoint,
    allowPlainHttpAuth: true,
    mirror: host === open.host,
    ...(host === 'docker.io' ? { credentials: { dockerConfig } } : {}),
  }))
  const mirrored = { name: 'mirrored', images: ['mirrored.example/**'], try: [`${open.host}/{path}`, 'mirrored.example/{path}'] } // prettier-ignore
  const text = { apiVersion: 'berth.dev/v1alpha1', kind: 'BerthConfig', registries: entries, fallback: [mirrored] } // prettier-ignore
  writeFileSync(config, JSON.stringify(text))
  return config
}

async function pushImages(open: Registry, locked: Registry): Promise<void> {
  const app = { repository: 'team/app', tag: '1', content: 'app', marker: 'diagnose' }
  await pushImage({ ...app, registry: open.url })
  await pushImage({ ...app, registry: open.url, tag: '1.1' })
  await pushImage({ ...app, registry: locked.url, auth: puller })
  const platforms = ['linux/s390x', 'linux/riscv64']
  await pushIndex({ ...app, registry: open.url, repository: 'team/foreign', platforms })
}

/** Returns an address of the node that is not a loopback address. */
async function nodeAddress(): Promise<string> {
  const [name = ''] = (await kubectlOk(['get', 'nodes', '--output=name'])).trim().split('\n')
  const node = await getJson<{ kind: string } & NodeAddresses>('node', name.replace('node/', ''))
  const internal = node.status.addresses.find(({ type }) => type === 'InternalIP')
  if (internal === undefined) throw new Error(`${name} has no InternalIP`)
  return internal.address
}

type NodeAddresses = { status: { addresses: { type: string; address: string }[] } }
