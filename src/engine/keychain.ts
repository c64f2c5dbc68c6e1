/** Credentials from files: a mounted pull secret, or a docker config. Nothing is written or run. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError } from '../errors.ts'
import { matchingKeys, redactKey } from '../credentials/docker-config-keys.ts'
import { createEcrKeychain } from '../aws/ecr-keychain.ts'
import type { EcrSettings } from '../aws/ecr-settings.ts'
import type { EcrTokenCache } from '../aws/ecr-token-cache.ts'
import {
  type DockerConfigEntry,
  type DockerConfigForm,
  parseDockerConfig,
} from '../credentials/docker-config.ts'
import type { Keychain } from '../credentials/keychain.ts'
import type { CredentialSettings } from '../registry/http/registry-settings.ts'

export interface KeychainOptions {
  /** Where each pull secret of Berth's namespace is mounted, as a directory of its name. */
  readonly secretsDirectory: string
  /** Told once of each thing in a file that could not be used; the message holds no secret. */
  readonly onProblem?: (message: string) => void
  /** Where `ecr` credentials come from; shared, so that one token serves many registries. */
  readonly ecrTokens?: EcrTokenCache
}

/** The names that Docker Hub has in docker configs, as tools write them. */
const hubHosts: ReadonlySet<string> = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
])

/** One place where a file may be, and how it is written if it is there. */
interface CredentialFile {
  readonly file: string
  readonly form: DockerConfigForm
}

interface Source {
  readonly places: readonly CredentialFile[]
  /** For people. */
  readonly name: string
  readonly fix: string
}

interface Loaded {
  readonly text: string
  readonly entries: readonly DockerConfigEntry[]
}

/**
 * A keychain for whatever `credentials` says: nothing, files, or tokens of ECR.
 */
export function createKeychain(
  settings: CredentialSettings | null,
  options: KeychainOptions,
): Keychain {
  if (settings === null) return { lookup: () => Promise.resolve([]) }
  if (settings.kind !== 'ecr') return createFileKeychain(settings, options)
  const { ecrTokens } = options
  if (ecrTokens === undefined) throw new Error('a keychain for ECR needs a store of tokens')
  return createEcrKeychain(settings, ecrTokens)
}

type FileSettings = Exclude<CredentialSettings, EcrSettings>

/**
 * A keychain that reads its file anew for each lookup, so that a rotated secret is used at once. When a file turns bad,
 * its last good content stays in use; when it never was good, a lookup rejects with `credentials-invalid`.
 */
function createFileKeychain(settings: FileSettings, options: KeychainOptions): Keychain {
  const source = sourceOf(settings, options.secretsDirectory)
  let last: Loaded | null = null
  let lastProblem: string | null = null

  const report = (message: string) => {
    if (message !== lastProblem) options.onProblem?.(message)
    lastProblem = message
  }

  /** A pull secret has some hundred bytes, and Kubernetes lets none grow over 1 MiB: comparing is as cheap as a stat. */
  const load = async (): Promise<readonly DockerConfigEntry[]> => {
    const found = await readFirst(source.places)
    if ('fault' in found) return keepLast(found.fault)
    if (found.text === last?.text) {
      lastProblem = null
      return last.entries
    }
    const parsed = parseDockerConfig(found.text, found.place.form)
    if (!parsed.ok) return keepLast(`${found.place.file} ${parsed.reason}`)
    lastProblem = null
    for (const { key, reason } of parsed.skipped) {
      report(`${source.name}, key ${redactKey(key)} is not used: it ${reason}`)
    }
    last = { text: found.text, entries: parsed.entries }
    return last.entries
  }

  const keepLast = (fault: string): readonly DockerConfigEntry[] => {
    if (last === null) throw new BerthError('credentials-invalid', `${fault}; ${source.fix}`)
    report(`${fault}; what was read from it before stays in use`)
    return last.entries
  }

  return {
    async lookup(host, repository) {
      return select(await load(), host, repository).map(({ key, username, password }) => ({
        username,
        password,
        source: `${source.name}, key ${redactKey(key)}`,
      }))
    },
  }
}

function sourceOf(settings: FileSettings, secretsDirectory: string): Source {
  if (settings.kind === 'dockerConfig') {
    const { file } = settings
    const form = file.endsWith('.dockercfg') ? 'legacy' : 'config'
    return {
      places: [{ file, form }],
      name: file,
      fix: 'give a docker config.json that Berth can read under `credentials.dockerConfig`',
    }
  }
  const directory = join(secretsDirectory, settings.name)
  return {
    places: [
      { file: join(directory, '.dockerconfigjson'), form: 'config' },
      { file: join(directory, '.dockercfg'), form: 'legacy' },
    ],
    name: `secret ${settings.name}`,
    fix: `create the pull secret ${settings.name} in Berth's namespace and mount it at ${directory}`,
  }
}

async function readFirst(
  places: readonly CredentialFile[],
): Promise<{ readonly text: string; readonly place: CredentialFile } | { readonly fault: string }> {
  let fault: string | null = null
  for (const place of places) {
    try {
      return { text: await readFile(place.file, 'utf8'), place }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // The first place is where it ought to be; a later one only counts when it is there but unreadable.
      if (fault === null || code !== 'ENOENT') fault = `${place.file} cannot be read (${code})`
    }
  }
  return { fault: fault ?? 'no file was named' }
}

/** The kubelet's matching, but with every name of Docker Hub counting as one. */
function select(
  entries: readonly DockerConfigEntry[],
  host: string,
  repository: string,
): readonly DockerConfigEntry[] {
  const names = hubHosts.has(host) ? [...hubHosts] : [host]
  const keys = entries.map(({ key }) => key)
  const found = new Set(names.flatMap((name) => matchingKeys(keys, name, repository)))
  return [...found].flatMap((key) => entries.filter((entry) => entry.key === key))
}
