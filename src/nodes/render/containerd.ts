/**
 * Renders `certs.d/HOST/hosts.toml` for containerd (remotes/docker/config/hosts.go). Only the form `[host."URL"]` is
 * written, because containerd 2 ignores inline tables.
 */
import { gte } from 'semver'
import { stringify } from 'smol-toml'
import type { NodeMirror, NodePlan } from '../plan/node-plan.ts'
import type { NodeRegistry } from '../plan/node-registry.ts'
import { type HostEntry, hostTable } from './host-table.ts'
import type { NodeFile, RenderedTarget, RenderOptions, Target } from './target.ts'

/** A mirror in the same network answers in milliseconds. A lost SYN is repeated after one second (RFC 6298, 2.1), so two seconds allow for one loss. */
const dialTimeout = '2s'

const restart =
  'no restart needed: containerd reads these files at every pull if its config_path is the directory; a change of config_path needs a restart of containerd'

export const containerd: Target = { directory: '/etc/containerd', restart, render }

/** MicroK8s sets config_path itself. */
export const microk8s: Target = {
  directory: '/var/snap/microk8s/current/args',
  restart: 'no restart needed: containerd reads these files at every pull',
  render: (plan, options) => render(plan, { ...options, version: null }),
}

/** A host table of hosts.toml, or the keys at its root. */
interface HostSection {
  readonly url: string
  readonly keys: Record<string, string | boolean | string[]>
}

function render(plan: NodePlan, options: RenderOptions): RenderedTarget {
  const { entries, omissions } = hostTable(plan, 'containerd')
  const files = entries.flatMap((entry) => filesOf(entry, plan, options))
  const notes = [
    '`ctr images pull` reads certs.d only with --hosts-dir; `crictl pull` and the kubelet always read it',
  ]
  return { files, omissions, notes }
}

function filesOf(entry: HostEntry, plan: NodePlan, options: RenderOptions): NodeFile[] {
  const directory = `certs.d/${entry.host ?? '_default'}`
  const { mirrors, upstream } = entry
  const isMirror = entry.host !== null && plan.isMirror(entry.host)
  const mirrorSections = mirrors.map((mirror) => mirrorSection(mirror, options))
  const last =
    upstream === 'any'
      ? null
      : (upstreamSection(upstream, isMirror) ?? mirrorSections.at(-1) ?? null)
  const first = upstream === null ? mirrorSections.slice(0, -1) : mirrorSections
  // containerd 1 treats a file without a [host] table as broken and asks the upstream directly.
  const needsHost = first.length === 0 && last !== null && !isContainerd2(options)
  const hosts = needsHost ? [last] : first
  const root = last === null ? {} : { server: last.url, ...withoutTimeout(last.keys) }
  const host = Object.fromEntries(hosts.map(({ url, keys }) => [url, keys]))
  const content = stringify({ ...root, ...(hosts.length > 0 && { host }) })
  const registries = [...mirrors.map(({ registry }) => registry), upstream]
  return [{ path: `${directory}/hosts.toml`, content }, ...caFiles(registries, directory)]
}

function isContainerd2({ version }: RenderOptions): boolean {
  return version !== null && gte(version, '2.0.0')
}

function upstreamSection(upstream: NodeRegistry | null, isMirror: boolean): HostSection | null {
  if (upstream === null) return null
  const push = isMirror ? { capabilities: ['pull', 'resolve', 'push'] } : {}
  return { url: upstream.url, keys: { ...push, ...caKey(upstream) } }
}

function mirrorSection({ registry, path }: NodeMirror, options: RenderOptions): HostSection {
  const { version, digestOnly } = options
  const capabilities = digestOnly ? ['pull'] : ['pull', 'resolve']
  const timeout = version === null || gte(version, '2.1.0') ? { dial_timeout: dialTimeout } : {}
  // Without override_path, containerd appends /v2 to the path.
  const override = path === '' ? {} : { override_path: true }
  const url = path === '' ? registry.url : `${registry.url}/v2/${path}`
  return { url, keys: { capabilities, ...override, ...timeout, ...caKey(registry) } }
}

/** A short timeout makes no sense for the last host, because no other host follows it. */
function withoutTimeout(keys: HostSection['keys']): HostSection['keys'] {
  return Object.fromEntries(Object.entries(keys).filter(([key]) => key !== 'dial_timeout'))
}

/** A relative path is resolved against the directory of hosts.toml. */
function caKey({ host, ca }: NodeRegistry): { ca?: string } {
  return ca === null ? {} : { ca: caFileName(host) }
}

function caFileName(host: string): string {
  return `${host.replaceAll(':', '_')}.crt`
}

function caFiles(registries: readonly HostEntry['upstream'][], directory: string): NodeFile[] {
  const files = registries.flatMap((registry) =>
    registry === null || registry === 'any' || registry.ca === null
      ? []
      : [[`${directory}/${caFileName(registry.host)}`, registry.ca] as const],
  )
  return [...new Map(files)].map(([path, content]) => ({ path, content }))
}
