/**
 * `certs.d/HOST/hosts.toml`, after containerd's remotes/docker/config/hosts.go. Only the form `[host."URL"]` is written:
 * inline tables are ignored by containerd 2.
 */
import { gte } from 'semver'
import { stringify } from 'smol-toml'
import type { NodeRegistry } from '../plan/node-registry.ts'
import { type HostEntry, hostTable } from './host-table.ts'
import type { NodeMirror, NodePlan } from '../plan/node-plan.ts'
import type { NodeFile, Rendered, RenderOptions, Target } from './target.ts'

/** A mirror in the house answers in milliseconds; a lost SYN is repeated after one second (RFC 6298, 2.1), so two allow for one. */
const dialTimeout = '2s'

const restart =
  'no restart: containerd reads these files at every pull, once its config_path leads to them (a change of config_path does need one)'

export const containerd: Target = { directory: '/etc/containerd', restart, render }

/** MicroK8s brings config_path along. */
export const microk8s: Target = {
  directory: '/var/snap/microk8s/current/args',
  restart: 'no restart: containerd reads these files at every pull',
  render: (plan, options) => render(plan, { ...options, version: null }),
}

interface Section {
  readonly url: string
  readonly keys: Record<string, string | boolean | string[]>
}

function render(plan: NodePlan, options: RenderOptions): Rendered {
  const { entries, omissions } = hostTable(plan, 'containerd')
  const files = entries.flatMap((entry) => filesOf(entry, plan, options))
  const notes = [
    '`ctr images pull` reads no certs.d unless it is given --hosts-dir; `crictl pull` and the kubelet do',
  ]
  return { files, omissions, notes }
}

function filesOf(entry: HostEntry, plan: NodePlan, options: RenderOptions): NodeFile[] {
  const directory = `certs.d/${entry.host ?? '_default'}`
  const { mirrors, upstream } = entry
  const isOwn = entry.host !== null && plan.isMirror(entry.host)
  const sections = mirrors.map((mirror) => mirrorSection(mirror, options))
  const last = upstream === 'any' ? null : (rootOf(upstream, isOwn) ?? sections.at(-1) ?? null)
  const before = upstream === null ? sections.slice(0, -1) : sections
  // containerd 1 takes a file without a [host] table for a broken one, and goes straight upstream.
  const needsHost = before.length === 0 && last !== null && !isTwo(options)
  const hosts = needsHost ? [last] : before
  const root = last === null ? {} : { server: last.url, ...withoutTimeout(last.keys) }
  const host = Object.fromEntries(hosts.map(({ url, keys }) => [url, keys]))
  const content = stringify({ ...root, ...(hosts.length > 0 && { host }) })
  const registries = [...mirrors.map(({ registry }) => registry), upstream]
  return [{ path: `${directory}/hosts.toml`, content }, ...caFiles(registries, directory)]
}

function isTwo({ version }: RenderOptions): boolean {
  return version !== null && gte(version, '2.0.0')
}

function rootOf(upstream: NodeRegistry | null, isOwn: boolean): Section | null {
  if (upstream === null) return null
  const push = isOwn ? { capabilities: ['pull', 'resolve', 'push'] } : {}
  return { url: upstream.url, keys: { ...push, ...caKey(upstream) } }
}

function mirrorSection({ registry, path }: NodeMirror, options: RenderOptions): Section {
  const { version, digestOnly } = options
  const capabilities = digestOnly ? ['pull'] : ['pull', 'resolve']
  const timeout = version === null || gte(version, '2.1.0') ? { dial_timeout: dialTimeout } : {}
  // Without override_path containerd would put /v2 behind the path.
  const place = path === '' ? {} : { override_path: true }
  const url = path === '' ? registry.url : `${registry.url}/v2/${path}`
  return { url, keys: { capabilities, ...place, ...timeout, ...caKey(registry) } }
}

/** The last place has nobody behind it to hurry for. */
function withoutTimeout(keys: Section['keys']): Section['keys'] {
  return Object.fromEntries(Object.entries(keys).filter(([key]) => key !== 'dial_timeout'))
}

/** A relative path is looked for beside hosts.toml. */
function caKey({ host, ca }: NodeRegistry): { ca?: string } {
  return ca === null ? {} : { ca: caName(host) }
}

function caName(host: string): string {
  return `${host.replaceAll(':', '_')}.crt`
}

function caFiles(registries: readonly HostEntry['upstream'][], directory: string): NodeFile[] {
  const files = registries.flatMap((registry) =>
    registry === null || registry === 'any' || registry.ca === null
      ? []
      : [[`${directory}/${caName(registry.host)}`, registry.ca] as const],
  )
  return [...new Map(files)].map(([path, content]) => ({ path, content }))
}
