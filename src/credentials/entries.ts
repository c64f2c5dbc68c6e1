/**
 * What a docker config holds. Both forms are read: `config.json` and `.dockerconfigjson`, with `auths` around the
 * entries, and the older `.dockercfg` without (k8s.io/kubernetes, pkg/credentialprovider/config.go).
 * Programs named by `credsStore` and `credHelpers` are never run.
 */

export type DockerConfigForm = 'config' | 'legacy'

export interface DockerConfigEntry {
  readonly key: string
  readonly username: string
  readonly password: string
}

export type DockerConfigResult =
  | {
      readonly ok: true
      readonly entries: readonly DockerConfigEntry[]
      /** Entries that cannot be used, and why: nothing in the reason comes from the entry's values. */
      readonly skipped: readonly { readonly key: string; readonly reason: string }[]
    }
  | { readonly ok: false; readonly reason: string }

/** Reads a docker config. No message holds any of the text, because a JSON error may quote a password. */
export function parseDockerConfig(text: string, form: DockerConfigForm): DockerConfigResult {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return { ok: false, reason: 'is not JSON' }
  }
  if (!isRecord(document)) return { ok: false, reason: 'is not a JSON object' }
  const auths = form === 'legacy' ? document : (document['auths'] ?? {})
  if (!isRecord(auths)) return { ok: false, reason: 'has `auths` that is not an object' }
  const entries: DockerConfigEntry[] = []
  const skipped: { key: string; reason: string }[] = []
  for (const [key, value] of Object.entries(auths)) {
    const read = readEntry(value)
    if (typeof read === 'string') skipped.push({ key, reason: read })
    else entries.push({ key, ...read })
  }
  return { ok: true, entries, skipped }
}

type Pair = Pick<DockerConfigEntry, 'username' | 'password'>

/** A non-empty `auth` takes the place of both other members. The reason, when the entry is of no use. */
function readEntry(value: unknown): Pair | string {
  if (!isRecord(value)) return 'is not an object'
  const { username = '', password = '', auth = '', identitytoken = '' } = value
  if (typeof username !== 'string' || typeof password !== 'string' || typeof auth !== 'string') {
    return 'has a username, password or auth that is not text'
  }
  const pair = auth === '' ? { username, password } : decodeAuth(auth)
  if (pair === null) return 'has an auth that is not the base64 of username:password'
  // Docker writes the user `<token>` and no password beside an identitytoken.
  if (pair.password === '' && identitytoken !== '') {
    return 'has only an identitytoken; give a username and password, or an access token as password'
  }
  return pair.username !== '' || pair.password !== ''
    ? pair
    : 'has neither username nor password; they may be in a credential helper, which is not run'
}

/** Standard base64, padded or not, split at the first colon: passwords may have more of them (config.go, decodeDockerConfigFieldAuth). */
function decodeAuth(auth: string): Pair | null {
  // Go's decoder passes over line breaks.
  const text = auth.replace(/[\r\n]/g, '')
  const digits = text.replace(/={1,2}$/, '')
  const isPadded = digits !== text
  if (!/^[A-Za-z0-9+/]*$/.test(digits) || digits.length % 4 === 1) return null
  if (isPadded && text.length % 4 !== 0) return null
  const decoded = Buffer.from(digits, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon < 0) return null
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
