/** Asks the registries of failing images, from this machine: each question once, however many pods have it. */
import pLimit from 'p-limit'
import type { Config } from '../../config/config.ts'
import { credentialIdentity } from '../../credentials/credential-identity.ts'
import type { Credential, Keychain } from '../../credentials/keychain.ts'
import { type Seen, type Try, wantedFor } from './probe-evidence.ts'
import { BerthError } from '../../errors.ts'
import { canonicalHost } from '../../decision/fallback/registry-aliases.ts'
import { defaultDomain, defaultTag, type Reference } from '../../decision/reference/reference.ts'
import { type Network, systemNetwork } from '../../registry/http/ip-ranges.ts'
import { type EndpointProbe, probeEndpoint } from '../../registry/probe/endpoint-probe.ts'
import { AddressRefusedError } from '../../registry/http/network-error.ts'
import { createRegistryProbe, type RegistryProbe } from '../../registry/probe/registry-probe.ts'
import type { RegistrySettings } from '../../registry/settings.ts'
import { lookFurther, nothing } from './image-content.ts'

/** A credential to ask with; of a pod's, the secret that it is from. */
export interface ProbeCredential extends Credential {
  readonly by: 'pod' | 'other'
  readonly secret: string | null
}

export interface Prober {
  /** What can be seen that bears on the rule; null when nothing of it can be seen at a registry. */
  look(
    reference: Reference,
    rule: string,
    credentials: readonly ProbeCredential[],
  ): Promise<Seen | null>
  close(): Promise<void>
}

export interface ProberDependencies {
  /** Endpoints, authorities and credentials of Berth's own; null: every registry is at its own name. */
  readonly config: Pick<Config, 'registries'> | null
  readonly keychainFor: (settings: RegistrySettings) => Keychain
  readonly network?: Network
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds for one answer. */
  readonly answerMs?: number
}

/** Registries asked at once: enough to hide their latency, few enough not to look like an attack on one. */
const parallel = 8

/** A person waits; containerd would wait for 30 s to connect, and for ever for an answer. */
const patienceMs = 5_000

interface Registry {
  readonly settings: RegistrySettings
  readonly endpoint: EndpointProbe
  readonly look: RegistryProbe
}

interface Asker {
  readonly by: Try['by']
  readonly source: string
  readonly secret: string | null
  readonly credential: Credential | null
}

/** Opens no connection until something is asked. Hosts that the config does not list are asked at their own name, and never at an address of this machine. */
export function createProber(dependencies: ProberDependencies): Prober {
  const { config, network = systemNetwork, now, answerMs = patienceMs } = dependencies
  const limit = pLimit(parallel)
  const registries = new Map<string, Promise<Registry | null>>()
  const looks: RegistryProbe[] = []
  const asked = new Map<string, Promise<unknown>>()

  const once = <T>(key: readonly unknown[], ask: () => Promise<T>): Promise<T> => {
    const text = JSON.stringify(key)
    const before = asked.get(text) as Promise<T> | undefined
    if (before !== undefined) return before
    const answer = limit(ask)
    asked.set(text, answer)
    return answer
  }

  const open = async (host: string): Promise<Registry | null> => {
    const listed = config?.registries.get(host)
    if (listed?.probe === false) return null
    const settings = listed ?? settingsFor(host, 'https:')
    if (settings === null) return null
    const net = listed === undefined ? guarded(network) : network
    const endpoint = await probeEndpoint(settings.endpoint, { network: net, now, answerMs })
    const plain =
      listed === undefined && endpoint.fault === 'not-tls' ? settingsFor(host, 'http:') : null
    const look = createRegistryProbe(plain ?? settings, { network: net, now, answerMs })
    looks.push(look)
    return plain === null
      ? { settings, endpoint, look }
      : { settings: plain, endpoint: { ...endpoint, fault: null }, look }
  }

  const registryOf = (host: string) => {
    const known = registries.get(host) ?? limit(() => open(host))
    registries.set(host, known)
    return known
  }

  return {
    async look(reference, rule, credentials) {
      const wanted = wantedFor(rule)
      const host = canonicalHost(reference.domain)
      const registry = wanted === null || host === '' ? null : await registryOf(host)
      if (wanted === null || registry === null) return null
      const { settings, endpoint, look } = registry
      const { path } = reference
      const seen = {
        ...nothing,
        ...endpoint,
        endpoint: settings.endpoint.origin,
        repository: path,
      }
      if (endpoint.fault !== null) return seen
      const name = reference.digest ?? reference.tag ?? defaultTag
      const askers: Asker[] = [
        { by: 'anonymous', source: 'anonymous', secret: null, credential: null },
        ...credentials.map((credential): Asker => {
          const { by, source, secret } = credential
          return { by, source, secret, credential }
        }),
        ...(await ownCredentials(dependencies.keychainFor(settings), host, path)),
      ]
      const tries = await Promise.all(
        askers.map(async ({ by, source, secret, credential }): Promise<Try> => {
          if (credential === null && by !== 'anonymous') return unasked(source)
          const key = ['manifest', host, path, name, identityOf(credential)]
          const heard = await once(key, () => look.manifest(path, name, credential))
          return { by, source, secret, ...heard }
        }),
      )
      const isThere = tries.some(({ outcome }) => outcome === 'found')
      const letIn = tries.findIndex(({ outcome }) => outcome === (isThere ? 'found' : 'absent'))
      const credential = askers[letIn]?.credential ?? null
      const more = await once(['more', host, path, name, wanted, identityOf(credential)], () =>
        lookFurther(look, { wanted, path, name, credential, isLetIn: letIn !== -1, isThere }),
      )
      return { ...seen, tries, ...more }
    },
    async close() {
      await Promise.all(looks.map((look) => look.close()))
    },
  }
}

/** Berth's own credentials may see what the pod's may not: that tells private from missing. */
async function ownCredentials(keychain: Keychain, host: string, path: string): Promise<Asker[]> {
  try {
    const own = await keychain.lookup(host, path)
    return own.map((credential) => ({
      by: 'other',
      source: `Berth's own, ${credential.source}`,
      secret: null,
      credential,
    }))
  } catch (error) {
    // It names the file, or the link of a chain of roles, that is at fault, and no secret.
    if (error instanceof BerthError)
      return [
        { by: 'other', source: `Berth's own: ${error.message}`, secret: null, credential: null },
      ]
    throw error
  }
}

function unasked(source: string): Try {
  const detail = 'there is no credential to ask with'
  return {
    by: 'other',
    source,
    secret: null,
    outcome: 'unasked',
    status: null,
    scheme: null,
    detail,
  }
}

/** A registry at its own name. Null for a host that is none. */
function settingsFor(host: string, protocol: 'https:' | 'http:'): RegistrySettings | null {
  const url = `${protocol}//${host === defaultDomain ? 'registry-1.docker.io' : host}`
  if (!URL.canParse(url)) return null
  return {
    host,
    endpoint: new URL(url),
    mirror: false,
    probe: true,
    credentials: null,
    ca: null,
    authHosts: [],
    allowPlainHttpAuth: false,
  }
}

/** A pod names hosts as it likes: none of them may lead to this machine, or to what only its link reaches. */
function guarded(network: Network): Network {
  return {
    ...network,
    lookup: (hostname, done) => {
      network.lookup(hostname, (error, addresses) => {
        const isOff =
          error === null &&
          addresses.some(({ address }) =>
            ['loopback', 'link-local', 'reserved'].includes(network.ipRangeOf(address)),
          )
        done(
          isOff ? new AddressRefusedError(`${hostname} leads to this machine`) : error,
          addresses,
        )
      })
    },
  }
}

function identityOf(credential: Credential | null): string {
  return credentialIdentity(credential === null ? [] : [credential])
}
