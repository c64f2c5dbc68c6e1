/** Returns the values of the chart that give the same objects as an installation. */
import { parse } from 'yaml'
import { BerthError } from '../errors.ts'
import type { InstallationOptions } from './installation.ts'

/** The values of the chart that a component of deploy/ corresponds to (docs/install.md). */
const componentValues: Readonly<Record<string, object>> = {
  'cert-manager': { certificate: { provider: 'cert-manager' } },
  'mounted-certificate': { certificate: { provider: 'secret' } },
  'opt-in': { webhook: { optIn: true } },
  'fail-closed': { webhook: { failurePolicy: 'Fail', replicas: 3 } },
  microk8s: { webhook: { excludedNamespaces: ['container-registry'] } },
  autoscaling: { autoscaling: { enabled: true } },
  monitoring: { monitoring: { enabled: true } },
  mirror: { controller: { mirror: true } },
  'pull-failures': { controller: { pullFailures: true } },
  'leave-conflicts': { controller: { leaveConflicts: true } },
  'stuck-pods': { controller: { stuckPods: true } },
  'unprocessed-pods': { controller: { unprocessedPods: true } },
  availability: { controller: { availability: true } },
  reports: { controller: { reports: true } },
  console: { controller: { console: { enabled: true } } },
  'ensure-pull-secrets': { ensurePullSecrets: { enabled: true } },
  'pull-secret-warnings': { pullSecretWarnings: { enabled: true } },
  'same-digest': { sameDigest: { enabled: true } },
  proxy: { proxy: { secret: 'berth-proxy' } },
}

/** Throws `usage` for a component that the chart has no value for. */
export function helmValues(options: InstallationOptions): object {
  const { image, imagePullSecrets, components, config, needs } = options
  const names = [...new Set([...needs.components, ...components])]
  return merge([
    { image: imageValues(image) },
    ...(imagePullSecrets.length === 0 ? [] : [{ imagePullSecrets }]),
    ...(needs.secrets.length === 0 ? [] : [{ registrySecrets: needs.secrets }]),
    ...(needs.mirrors.length === 0 ? [] : [{ policy: { mirrors: needs.mirrors } }]),
    ...(needs.ecrSecrets.length === 0 ? [] : [{ controller: { ecrSecrets: needs.ecrSecrets } }]),
    ...names.filter((name) => name !== 'ecr-tokens').map(valuesOf),
    ...(Object.keys(needs.files).length === 0 ? [] : [{ configFiles: needs.files }]),
    { config: parse(config) as object },
  ])
}

function valuesOf(component: string): object {
  const values = componentValues[component]
  if (values !== undefined) return values
  throw new BerthError('usage', `the chart has no value for the component ${component}`)
}

function imageValues(image: string): object {
  const [name = '', digest] = image.split('@')
  const [, repository = name, tag] = /^(.+):([^:/]+)$/.exec(name) ?? []
  return { repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) }
}

/** Merges maps that have the same key. */
function merge(parts: readonly object[]): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [key, value] of parts.flatMap((part) => Object.entries(part))) {
    const before = result[key]
    const areMaps = isMap(before) && isMap(value)
    result[key] = areMaps ? merge([before, value]) : (value as unknown)
  }
  return result
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
