/**
 * What a docker config holds. Both forms are read: `config.json` and `.dockerconfigjson`, with `auths` around the
 * entries, and the older `.dockercfg` without (k8s.io/kubernetes, pkg/credentialprovider/config.go). As in Go, the
 * names of members are read in any case, the last one counts, and `null` says nothing.
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

/** What the kubelet cannot read: it then pulls none of the pod's images. */
export type DockerConfigFault = keyof typeof faultReasons

/** What each fault is, after the name of the entry or the file. */
export const faultReasons = {
  'not-json': 'is not JSON',
  'not-an-object': 'is not a JSON object',
  'auths-not-an-object': 'has `auths` that is not an object',
  'headers-not-text': 'has `HttpHeaders` that are not texts',
  'entry-not-an-object': 'is not an object',
  'field-not-text': 'has a username, password, email or auth that is not text',
  'auth-not-base64': 'has an auth that is not the base64 of username:password',
  'auth-without-colon': 'has an auth that is not the base64 of username:password',
} as const

export type ParsedEntry =
  | (DockerConfigEntry & {
      readonly fault: null
      /** The kubelet does not read it. */
      readonly hasIdentityToken: boolean
    })
  | { readonly key: string; readonly fault: DockerConfigFault }

export interface ParsedDockerConfig {
  /** Of the whole; there may be entries nevertheless. */
  readonly fault: DockerConfigFault | null
  readonly entries: readonly ParsedEntry[]
  /** True when programs are named, which may know credentials that are not here. */
  readonly hasHelpers: boolean
}

/** Reads a docker config for Berth's own use: what cannot be used is left out, the rest is kept. */
export function parseDockerConfig(text: string, form: DockerConfigForm): DockerConfigResult {
  const reading = readDockerConfig(text, form)
  if (reading.fault !== null && reading.fault !== 'headers-not-text') {
    return { ok: false, reason: faultReasons[reading.fault] }
  }
  const entries: DockerConfigEntry[] = []
  const skipped: { key: string; reason: string }[] = []
  for (const entry of reading.entries) {
    const { key } = entry
    const reason = uselessness(entry)
    if (reason !== null) skipped.push({ key, reason })
    else if (entry.fault === null) {
      entries.push({ key, username: entry.username, password: entry.password })
    }
  }
  return { ok: true, entries, skipped }
}

/** Null for an entry with which one can log in. */
function uselessness(entry: ParsedEntry): string | null {
  if (entry.fault !== null) return faultReasons[entry.fault]
  // Docker writes the user `<token>` and no password beside an identitytoken.
  if (entry.password === '' && entry.hasIdentityToken) {
    return 'has only an identitytoken; give a username and password, or an access token as password'
  }
  return entry.username !== '' || entry.password !== ''
    ? null
    : 'has neither username nor password; they may be in a credential helper, which is not run'
}

/** Reads all that a docker config holds, faults included. No fault holds any of the text, which may be a password. */
export function readDockerConfig(text: string, form: DockerConfigForm): ParsedDockerConfig {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return broken('not-json')
  }
  if (!isRecord(document ?? {})) return broken('not-an-object')
  const fields = (document ?? {}) as Fields
  if (form === 'legacy') return { ...readAuths([fields]), hasHelpers: false }
  const auths = readAuths(valuesOf(fields, 'auths'))
  return {
    entries: auths.entries,
    fault: auths.fault ?? (areTexts(fields) ? null : 'headers-not-text'),
    hasHelpers: 'credsStore' in fields || 'credHelpers' in fields,
  }
}

function broken(fault: DockerConfigFault): ParsedDockerConfig {
  return { fault, entries: [], hasHelpers: false }
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads `auths`, and the members that have the same name in another case: Go adds the entries of each to one map, which
 * `null` empties. A faulty entry stays one, whatever comes later.
 */
function readAuths(values: readonly unknown[]): Pick<ParsedDockerConfig, 'entries' | 'fault'> {
  const faulty: ParsedEntry[] = []
  const sound = new Map<string, ParsedEntry>()
  let fault: DockerConfigFault | null = null
  for (const value of values) {
    if (value === null) sound.clear()
    else if (!isRecord(value)) fault ??= 'auths-not-an-object'
    for (const [name, entry] of Object.entries(isRecord(value) ? value : {})) {
      const reading = { key: name.toWellFormed(), ...readEntry(entry) }
      if (reading.fault === null) sound.set(name, reading)
      else faulty.push(reading)
    }
  }
  return { entries: [...sound.values(), ...faulty], fault }
}

function areTexts(document: Fields): boolean {
  return valuesOf(document, 'HttpHeaders').every(
    (headers) =>
      headers === null ||
      (isRecord(headers) &&
        Object.values(headers).every((value) => value === null || typeof value === 'string')),
  )
}

/** With the flags `i` and `u` a pattern folds case as Go does (encoding/json, fold.go): `ſ` is an s. */
function valuesOf(record: Fields, name: string): unknown[] {
  const pattern = new RegExp(`^${name}$`, 'iu')
  return Object.entries(record).flatMap(([key, value]) => (pattern.test(key) ? [value] : []))
}

export type Login = Pick<DockerConfigEntry, 'username' | 'password'>
type EntryValue =
  | (Login & { readonly fault: null; readonly hasIdentityToken: boolean })
  | { readonly fault: DockerConfigFault }

/** A non-empty `auth` takes the place of both other members. */
function readEntry(value: unknown): EntryValue {
  const record = value ?? {}
  if (!isRecord(record)) return { fault: 'entry-not-an-object' }
  const username = readText(record, 'username')
  const password = readText(record, 'password')
  const auth = readText(record, 'auth')
  if (username === null || password === null || auth === null || readText(record, 'email') === null)
    return { fault: 'field-not-text' }
  const pair = auth === '' ? { username, password } : decodeAuth(auth)
  if (typeof pair === 'string') return { fault: pair }
  return { fault: null, ...pair, hasIdentityToken: hasText(record['identitytoken']) }
}

/** Empty when there is none; null when it is not text. */
function readText(record: Fields, name: string): string | null {
  let text = ''
  for (const value of valuesOf(record, name)) {
    if (typeof value === 'string') text = value.toWellFormed()
    else if (value !== null) return null
  }
  return text
}

function hasText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** Standard base64, padded or not, split at the first colon: passwords may have more of them (config.go, decodeDockerConfigFieldAuth). */
export function decodeAuth(auth: string): Login | DockerConfigFault {
  // Go's decoder passes over line breaks.
  const text = auth.replace(/[\r\n]/g, '')
  const digits = text.replace(/={1,2}$/, '')
  const isPadded = digits !== text
  if (!/^[A-Za-z0-9+/]*$/.test(digits) || digits.length % 4 === 1) return 'auth-not-base64'
  if (isPadded && text.length % 4 !== 0) return 'auth-not-base64'
  const decoded = Buffer.from(digits, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon < 0) return 'auth-without-colon'
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
