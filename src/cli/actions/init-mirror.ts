/** Collects the facts about the mirror for `berth init`: from options, probes and questions. */
import { readFileSync } from 'node:fs'
import { dirname, relative, resolve as resolvePath } from 'node:path'
import { isHost } from '../../config/host.ts'
import { hubHost } from '../../decision/fallback/registry-aliases.ts'
import { BerthError } from '../../errors.ts'
import { describeFileError } from '../../files/describe-file-error.ts'
import type { PlannedMirror } from '../../init/init-plan.ts'
import { kindOfHost, microk8sHost, mirrorKinds } from '../../init/mirror-kind.ts'
import {
  type ProbeDependencies,
  probeRegistry,
  type RegistryFacts,
} from '../../init/probe-registry.ts'
import { defaultEndpoint } from '../../registry/http/registry-settings.ts'
import { type Io, printMessage } from '../io.ts'
import type { Questions } from '../questions.ts'

export interface MirrorOptions {
  readonly mirror?: string
  readonly endpoint?: string
  readonly path?: string
  readonly cache: readonly string[]
  readonly ca?: string
  readonly secret?: string
  readonly probe: boolean
  readonly out: string
}

interface MirrorDependencies {
  readonly questions: Questions
  readonly probing: ProbeDependencies
  /** The endpoint of the add-on of MicroK8s in the cluster; null if it has none. */
  readonly microk8sRegistry: string | null
  readonly io: Io
}

/** Returns the mirror. Returns null, after printing why, if it cannot be reached. Throws `usage`. */
export async function planMirror(
  options: MirrorOptions,
  dependencies: MirrorDependencies,
): Promise<PlannedMirror | null> {
  const { questions, microk8sRegistry, io } = dependencies
  const host =
    options.mirror ??
    (await questions.ask({
      text: 'Your registry, under the name that nodes use',
      flag: '--mirror',
      suggestion: microk8sRegistry === null ? undefined : microk8sHost,
    }))
  checkHost(host)
  const given = options.endpoint ?? (host === microk8sHost ? microk8sRegistry : null)
  const endpoint = given === null ? null : endpointOf(given)
  const found = await findRegistry({ host, endpoint }, options, dependencies)
  const { facts } = found
  if (facts !== null) printMessage(io, factsText(host, facts))
  if (facts !== null && facts.problem !== null) return null
  const kind = facts?.kind ?? kindOfHost(host) ?? 'other'
  const caches = cachesOf(options.cache)
  const used = facts?.endpoint ?? endpoint
  return {
    host,
    endpoint: used === null ? null : unlessDefault(used, host),
    kind,
    prefix: await prefixOf(kind, caches.size > 0, options, questions),
    caches,
    secret: await secretOf(kind, facts, options, questions),
    ca: found.ca === null ? null : relative(dirname(resolvePath(options.out)), found.ca),
  }
}

function factsText(host: string, { endpoint, kind, needsLogin, problem }: RegistryFacts): string {
  const name = `${host} (${endpoint.origin})`
  if (problem === null)
    return `${name} is ${mirrorKinds[kind].title}${needsLogin ? '; it requires a login' : ''}`
  return `${name} cannot be used: ${problem}; check --mirror and --endpoint, or skip this with --no-probe`
}

/** Returns the endpoint for the config; null for the one that Berth uses without an endpoint. */
export function unlessDefault(endpoint: URL, host: string): string | null {
  const isDefault = endpoint.href === new URL(defaultEndpoint(host)).href
  return isDefault ? null : endpoint.href.replace(/\/$/, '')
}

function checkHost(host: string): void {
  if (!isHost(host) || !/[.:]|^localhost$/.test(host))
    throw new BerthError('usage', `${host} is not a registry host; write for example anubis:32000`)
  if (hubHost(host) === 'docker.io')
    throw new BerthError(
      'usage',
      'Docker Hub cannot be the mirror, because its paths have two levels; use another registry',
    )
}

function endpointOf(text: string): URL {
  if (/^https?:\/\/[^/?#@]+\/?[^?#@]*$/.test(text) && URL.canParse(text)) return new URL(text)
  throw new BerthError('usage', `--endpoint: not the URL of a registry; write http://HOST:PORT`)
}

interface FoundRegistry {
  /** Null if the registry was not probed. */
  readonly facts: RegistryFacts | null
  /** The path of the CA file; null for the public CAs. */
  readonly ca: string | null
}

/** Probes the registry, and asks for its CA if its certificate is from an unknown one. */
async function findRegistry(
  address: { readonly host: string; readonly endpoint: URL | null },
  { probe, ca }: MirrorOptions,
  { questions, probing }: MirrorDependencies,
): Promise<FoundRegistry> {
  const ask = async (file: string | null): Promise<FoundRegistry> => {
    const pem = file === null ? null : readCa(file)
    const facts = probe ? await probeRegistry({ ...address, ca: pem }, probing) : null
    return { facts, ca: file === null ? null : resolvePath(file) }
  }
  const first = await ask(ca ?? null)
  if (ca !== undefined || first.facts?.certificate.includes('unknown-ca') !== true) return first
  return ask(
    await questions.ask({
      text: `${address.host} has a certificate of a private CA; PEM file with this CA`,
      flag: '--ca',
    }),
  )
}

function readCa(file: string): string {
  try {
    const pem = readFileSync(file, 'utf8')
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  } catch (cause) {
    throw new BerthError('usage', `--ca ${file} cannot be read: ${describeFileError(cause)}`, {
      cause,
    })
  }
  throw new BerthError('usage', `--ca ${file} has no PEM certificate`)
}

/** Returns the caches by the host of their upstream. */
function cachesOf(texts: readonly string[]): ReadonlyMap<string, string> {
  const caches = new Map<string, string>()
  for (const text of texts) {
    const [host = '', prefix, ...rest] = text.split('=')
    if (prefix === undefined || rest.length > 0 || !isHost(host))
      throw new BerthError('usage', `--cache ${text}: write HOST=PREFIX, for example docker.io=hub`)
    const path = prefix.replaceAll(/^\/+|\/+$/g, '')
    const other = [...caches].find(([, each]) => each === path)
    if (other !== undefined)
      throw new BerthError(
        'usage',
        `--cache: ${other[0]} and ${host} have the same path, so their images could have the same name`,
      )
    caches.set(hubHost(host), path)
  }
  return caches
}

async function prefixOf(
  kind: PlannedMirror['kind'],
  hasCaches: boolean,
  { path: given }: MirrorOptions,
  questions: Questions,
): Promise<string> {
  const { path } = mirrorKinds[kind]
  const prefix =
    given ??
    (path === null || hasCaches
      ? ''
      : await questions.ask({
          text: `Paths on ${mirrorKinds[kind].title} begin with ${path.name}; which one holds the copies`,
          flag: '--path',
        }))
  return prefix.replaceAll(/^\/+|\/+$/g, '')
}

async function secretOf(
  kind: PlannedMirror['kind'],
  facts: RegistryFacts | null,
  { secret }: MirrorOptions,
  questions: Questions,
): Promise<string | null> {
  if (secret === 'none' || kind === 'ecr') return null
  if (secret !== undefined || facts?.needsLogin !== true) return secret ?? null
  const answer = await questions.ask({
    text: 'The mirror requires a login; name of a pull secret, or none',
    flag: '--secret',
  })
  return answer === 'none' ? null : answer
}
