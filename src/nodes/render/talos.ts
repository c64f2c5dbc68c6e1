/**
 * Renders the registry mirrors of Talos Linux: a patch of `machine.registries`, which every version reads, or the documents
 * RegistryMirrorConfig and RegistryTLSConfig, which replace it since Talos 1.12 (siderolabs/talos, pkg/machinery/config).
 */
import { gte, lt } from 'semver'
import { stringify } from 'yaml'
import { defaultEndpoint } from '../../registry/http/registry-settings.ts'
import type { NodeFinding, NodePlan } from '../plan/node-plan.ts'
import { isFoundByName } from '../plan/node-registry.ts'
import { caByAuthority } from './ca-by-authority.ts'
import { type HostEntry, hostTable } from './host-table.ts'
import type { RenderedTarget, RenderOptions, Target } from './target.ts'

export const talos: Target = {
  directory: null,
  restart:
    'no reboot needed: apply the file with `talosctl patch machineconfig --patch @FILE` on every node',
  render,
}

/** The first Talos with RegistryMirrorConfig; machine.registries is deprecated since then. */
const firstDocuments = '1.12.0'

/** The first Talos with skipFallback (siderolabs/talos#9723). */
const firstSkipFallback = '1.9.0'

/** What Talos configures for one host. */
interface Mirror {
  readonly name: string
  readonly endpoints: readonly Endpoint[]
  readonly skipFallback: boolean
}

interface Endpoint {
  readonly url: string
  /** The path on the registry, after `/v2/`; empty for none. */
  readonly path: string
}

function render(plan: NodePlan, options: RenderOptions): RenderedTarget {
  const { entries, omissions } = hostTable(plan, 'Talos')
  const mirrors = entries.map((entry) => mirrorOf(entry))
  const cas = caByAuthority(entries)
  const { version } = options
  const content =
    version !== null && gte(version, firstDocuments)
      ? documents(mirrors, cas)
      : stringifyYaml(machineRegistries(mirrors, cas))
  const files = mirrors.length === 0 && cas.length === 0 ? [] : [{ path: 'talos.yaml', content }]
  const limits = limitsOf(mirrors, options)
  return { files, omissions: [...omissions, ...limits], notes: [] }
}

function mirrorOf({ host, mirrors, upstream }: HostEntry): Mirror {
  const endpoints = mirrors.map(({ registry, path }) => ({ url: registry.url, path }))
  const name = host ?? '*'
  if (upstream === 'any') return { name, endpoints, skipFallback: false }
  // Talos gives the registry itself, which it asks last, no CA, so a registry with a CA is also an endpoint.
  if (upstream !== null && (mirrors.length === 0 || !isFoundByName(upstream)))
    endpoints.push({ url: upstream.url, path: '' })
  return { name, endpoints, skipFallback: upstream?.url !== defaultEndpoint(name) }
}

/** Returns what this version of Talos cannot do. */
function limitsOf(
  mirrors: readonly Mirror[],
  { digestOnly, version }: RenderOptions,
): NodeFinding[] {
  const limits: NodeFinding[] = []
  if (digestOnly)
    limits.push({
      path: [],
      message: 'Talos cannot limit a mirror to digests; leave --digest-only out',
    })
  const closed = mirrors.find(({ skipFallback }) => skipFallback)
  if (closed !== undefined && version !== null && lt(version, firstSkipFallback))
    limits.push({
      path: [],
      message: `Talos ${version.version} always asks ${closed.name} under its own name last; ${firstSkipFallback} and later can be kept from it`,
    })
  return limits
}

type CertificateAuthorities = ReturnType<typeof caByAuthority>

function documents(mirrors: readonly Mirror[], cas: CertificateAuthorities): string {
  const all = [
    ...mirrors.map(({ name, endpoints, skipFallback }) => ({
      apiVersion: 'v1alpha1',
      kind: 'RegistryMirrorConfig',
      name,
      endpoints: endpoints.map(({ url, path }) =>
        path === '' ? { url } : { url: `${url}/v2/${path}`, overridePath: true },
      ),
      ...(skipFallback && { skipFallback }),
    })),
    ...cas.map(([name, ca]) => ({
      apiVersion: 'v1alpha1',
      kind: 'RegistryTLSConfig',
      name,
      ca,
    })),
  ]
  return all.map(stringifyYaml).join('---\n')
}

/** `overridePath` applies to all endpoints of a host, so each of them then has its whole path. */
function machineRegistries(mirrors: readonly Mirror[], cas: CertificateAuthorities): object {
  const entries = mirrors.map(({ name, endpoints, skipFallback }) => {
    const overridePath = endpoints.some(({ path }) => path !== '')
    const urls = endpoints.map(({ url, path }) =>
      overridePath ? [url, 'v2', path].filter(Boolean).join('/') : url,
    )
    const flags = { ...(overridePath && { overridePath }), ...(skipFallback && { skipFallback }) }
    return [name, { endpoints: urls, ...flags }] as const
  })
  const config = cas.map(([authority, ca]) => {
    return [authority, { tls: { ca: Buffer.from(ca).toString('base64') } }] as const
  })
  const registries = {
    ...(entries.length > 0 && { mirrors: Object.fromEntries(entries) }),
    ...(config.length > 0 && { config: Object.fromEntries(config) }),
  }
  return { machine: { registries } }
}

function stringifyYaml(value: object): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })
}
