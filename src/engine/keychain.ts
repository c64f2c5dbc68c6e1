/** Creates keychains: credentials from a mounted pull secret, a docker config, or Amazon ECR. */
import { join } from 'node:path'
import { createEcrKeychain } from '../aws/ecr-keychain.ts'
import type { EcrSettings } from '../aws/ecr-settings.ts'
import type { EcrTokenCache } from '../aws/ecr-token-cache.ts'
import {
  type DockerConfigForm,
  helperFor,
  readUsableEntries,
  type UsableEntry,
} from '../credentials/docker-config.ts'
import { createKeyMatcher, parseKey, redactKey } from '../credentials/docker-config-keys.ts'
import type { Credential, Keychain } from '../credentials/keychain.ts'
import { BerthError } from '../errors.ts'
import type { RunCredentialHelper } from './credential-helper.ts'
import type { CredentialSettings } from '../registry/http/registry-settings.ts'
import { describeFileError } from '../files/describe-file-error.ts'
import { readRegularFile } from '../files/read-limited.ts'

export interface KeychainOptions {
  /** Has a subdirectory for each mounted pull secret, with the secret's name. */
  readonly secretsDirectory: string
  /** True if the caller's own docker login would be used instead of a secret that is not mounted. */
  readonly ownLogin?: boolean
  /** Receives each problem of a file once; the message has no secret in it. */
  readonly onProblem?: (message: string) => void
  /** Required for `ecr` credentials; shared, so that one token serves many registries. */
  readonly ecrTokens?: EcrTokenCache
  /** Runs the credential helpers of docker configs. Without it, and for pull secrets, none is run. */
  readonly runHelper?: RunCredentialHelper
}

/** The maximum size of a Secret (core/v1, MaxSecretSize). */
const maxBytes = 1024 ** 2

/** The hosts that tools write for Docker Hub in docker configs. */
const hubHosts: ReadonlySet<string> = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
])

/** The name of Docker Hub in credential helpers (docker/cli, registry, IndexServer). */
const hubServer = 'https://index.docker.io/v1/'

/** Problems with credential helpers that are reported until the file changes. */
const maxHelperProblems = 100

/** A path where the file may be, and its format there. */
interface CredentialFile {
  readonly path: string
  readonly form: DockerConfigForm
}

interface CredentialSource {
  /** The first one that exists is used. */
  readonly files: readonly CredentialFile[]
  /** For messages. */
  readonly name: string
  readonly fix: string
}

interface LoadedFile {
  readonly text: string
  readonly entries: readonly UsableEntry[]
}

/** Returns the keychain for `credentials` of a registry; null means anonymous. */
export function createKeychain(
  settings: CredentialSettings | null,
  options: KeychainOptions,
): Keychain {
  if (settings === null) return { lookup: () => Promise.resolve([]) }
  if (settings.kind !== 'ecr') return createFileKeychain(settings, options)
  const { ecrTokens } = options
  if (ecrTokens === undefined) throw new Error('a keychain for ECR needs `ecrTokens`')
  return createEcrKeychain(settings, ecrTokens)
}

type FileSettings = Exclude<CredentialSettings, EcrSettings>

/**
 * Returns a keychain that reads its file for each lookup, so that a rotated secret is used at once. If the file becomes
 * invalid, its last valid content stays in use; if it never was valid, lookups reject with `credentials-invalid`.
 */
function createFileKeychain(settings: FileSettings, options: KeychainOptions): Keychain {
  const source = sourceFor(settings, options)
  let last: LoadedFile | null = null
  let lastProblem: string | null = null

  const report = (message: string) => {
    if (message !== lastProblem) options.onProblem?.(message)
    lastProblem = message
  }

  /** Not `report`: each successful read clears `lastProblem`. */
  const helperProblems = createOnceReporter(options.onProblem)

  /** Comparing the text is as cheap as a stat: a Secret has at most 1 MiB, and usually some hundred bytes. */
  const load = (): LoadedFile => {
    const read = readFirst(source.files)
    if ('problem' in read) return keepLast(read.problem)
    if (read.text === last?.text) {
      lastProblem = null
      return last
    }
    const parsed = readUsableEntries(read.text, read.file.form)
    if (!parsed.ok) return keepLast(`${read.file.path} ${parsed.reason}`)
    lastProblem = null
    for (const { key, reason } of parsed.skipped) {
      if (options.runHelper !== undefined && helperFor(read.text, key) !== null) continue
      report(`${source.name}, key ${redactKey(key)} is not used: it ${reason}`)
    }
    helperProblems.clear()
    last = { text: read.text, entries: parsed.entries }
    return last
  }

  const keepLast = (problem: string): LoadedFile => {
    if (last === null) throw new BerthError('credentials-invalid', `${problem}; ${source.fix}`)
    report(`${problem}; its last valid content stays in use`)
    return last
  }

  /** Asks the credential helper that the file names for the host. */
  const askHelper = async (
    text: string,
    host: string,
    hasEntry: boolean,
  ): Promise<Credential[]> => {
    if (settings.kind !== 'dockerConfig') return []
    const server = hubHosts.has(host) ? hubServer : host
    const helper = helperFor(text, server)
    if (helper === null) return []
    const name = `docker-credential-${helper}`
    if (options.runHelper === undefined) {
      if (hasEntry) return []
      helperProblems.report(
        `${source.name} names the credential helper ${name} for ${host}; only the command line runs credential helpers`,
      )
      return []
    }
    const login = await options.runHelper(helper, server).catch((error: unknown) => {
      if (!(error instanceof BerthError)) throw error
      helperProblems.report(error.message)
      return null
    })
    if (login === null) return []
    const { identityToken, ...rest } = login
    const token = identityToken === null ? {} : { identityToken }
    return [{ ...rest, ...token, source: `${name} of ${source.name}` }]
  }

  return {
    async lookup(host, repository) {
      const { text, entries } = load()
      const matching = matchingEntries(entries, host, repository)
      const ofHelper = await askHelper(text, host, matching.length > 0)
      if (ofHelper.length > 0) return ofHelper
      return matching.flatMap((entry) =>
        credentialsOf(entry, `${source.name}, key ${redactKey(entry.key)}`),
      )
    },
  }
}

/** Returns a reporter that reports each message once until `clear`. */
function createOnceReporter(onProblem: KeychainOptions['onProblem']) {
  const reported = new Set<string>()
  return {
    report: (message: string): void => {
      if (reported.has(message) || reported.size >= maxHelperProblems) return
      reported.add(message)
      onProblem?.(message)
    },
    clear: () => reported.clear(),
  }
}

/** Only token servers accept the token. A password next to it is tried after it. */
function credentialsOf(
  { username, password, identityToken }: UsableEntry,
  source: string,
): readonly Credential[] {
  const login: Credential = { username, password, source }
  if (identityToken === null) return [login]
  const token: Credential = { ...login, identityToken }
  return password === '' ? [token] : [token, login]
}

function sourceFor(
  settings: FileSettings,
  { secretsDirectory, ownLogin = false }: KeychainOptions,
): CredentialSource {
  if (settings.kind === 'dockerConfig') {
    const { file } = settings
    const form = file.endsWith('.dockercfg') ? 'legacy' : 'config'
    return {
      files: [{ path: file, form }],
      name: file,
      fix: 'set `credentials.dockerConfig` to a docker config.json that Berth can read',
    }
  }
  const directory = join(secretsDirectory, settings.name)
  return {
    files: [
      { path: join(directory, '.dockerconfigjson'), form: 'config' },
      { path: join(directory, '.dockercfg'), form: 'legacy' },
    ],
    name: `secret ${settings.name}`,
    fix: `create the pull secret ${settings.name} in Berth's namespace and mount it at ${directory}${ownLogin ? ', or run `docker login` on this machine' : ''}`,
  }
}

function readFirst(
  files: readonly CredentialFile[],
): { readonly text: string; readonly file: CredentialFile } | { readonly problem: string } {
  let problem: string | null = null
  for (const file of files) {
    try {
      return { text: readRegularFile(file.path, maxBytes).toString('utf8'), file }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // The message names the first path, unless a later one exists and cannot be read.
      if (problem === null || code !== 'ENOENT')
        problem = `${file.path} cannot be read: ${describeFileError(error)}`
    }
  }
  return { problem: problem ?? 'no file is configured' }
}

/**
 * Matches keys as the kubelet does, except that all hosts of Docker Hub are the same, and that no other host gets a login for
 * it: the kubelet takes `localhost` for a user of Docker Hub.
 */
function matchingEntries(
  entries: readonly UsableEntry[],
  host: string,
  repository: string,
): readonly UsableEntry[] {
  const isHub = hubHosts.has(host)
  const hosts = isHub ? [...hubHosts] : [host]
  const keys = entries.map(({ key }) => key)
  const findKeys = createKeyMatcher(
    keys.filter((key) => isHub || !hubHosts.has(parseKey(key)?.text ?? '')),
  )
  const matching = new Set(hosts.flatMap((each) => findKeys(each, repository)))
  return [...matching].flatMap((key) => entries.filter((entry) => entry.key === key))
}
