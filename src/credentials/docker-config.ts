/**
 * Reads docker configs: `config.json` and `.dockerconfigjson`, with the entries in `auths`, and the older `.dockercfg` without
 * `auths` (k8s.io/kubernetes, pkg/credentialprovider/config.go). As in Go, the names of members match in any case, the last
 * one counts, and `null` sets nothing.
 */
import { isObject, type JsonObject } from '../json/json.ts'

export type DockerConfigForm = 'config' | 'legacy'

export interface DockerConfigEntry {
  readonly key: string
  readonly username: string
  readonly password: string
}

/** An entry that Berth can use itself. */
export interface UsableEntry extends DockerConfigEntry {
  /** A refresh token (OAuth 2.0) in place of the password; null without one. */
  readonly identityToken: string | null
}

export type UsableEntries =
  | {
      readonly ok: true
      readonly entries: readonly UsableEntry[]
      /** Entries that cannot be used. The reasons contain no values of the entries. */
      readonly skipped: readonly { readonly key: string; readonly reason: string }[]
    }
  | { readonly ok: false; readonly reason: string }

/** What the kubelet cannot read. It then pulls no image of the pod. */
export type DockerConfigFault = keyof typeof faultReasons

/** Describes each fault, after the name of the entry or the file. */
export const faultReasons = {
  'not-json': 'is not JSON',
  'not-an-object': 'is not a JSON object',
  'auths-not-an-object': 'has `auths` that is not an object',
  'headers-not-text': 'has `HttpHeaders` that are not strings',
  'entry-not-an-object': 'is not an object',
  'field-not-text': 'has a username, password, email or auth that is not a string',
  'auth-not-base64': 'has an auth that is not the base64 of username:password',
  'auth-without-colon': 'has an auth that is not the base64 of username:password',
} as const

export type ParsedEntry =
  | (DockerConfigEntry & {
      readonly fault: null
      /** The kubelet ignores identity tokens. Null without one. */
      readonly identityToken: string | null
    })
  | { readonly key: string; readonly fault: DockerConfigFault }

export interface ParsedDockerConfig {
  /** A fault of the whole config, which can have entries nevertheless. */
  readonly fault: DockerConfigFault | null
  readonly entries: readonly ParsedEntry[]
  /** True if the config names credential helpers, which may have more credentials. */
  readonly hasHelpers: boolean
}

/** Returns the entries that Berth can use itself. Unlike the kubelet, skips entries with a fault and keeps the others. */
export function readUsableEntries(text: string, form: DockerConfigForm): UsableEntries {
  const config = readDockerConfig(text, form)
  if (config.fault !== null && config.fault !== 'headers-not-text') {
    return { ok: false, reason: faultReasons[config.fault] }
  }
  const entries: UsableEntry[] = []
  const skipped: { key: string; reason: string }[] = []
  for (const entry of config.entries) {
    const { key } = entry
    const reason = unusableReason(entry)
    if (reason !== null) skipped.push({ key, reason })
    else if (entry.fault === null) {
      const { username, password, identityToken } = entry
      entries.push({ key, username, password, identityToken })
    }
  }
  return { ok: true, entries, skipped }
}

/** Null for an entry with which Berth can log in. */
function unusableReason(entry: ParsedEntry): string | null {
  if (entry.fault !== null) return faultReasons[entry.fault]
  return entry.username !== '' || entry.password !== '' || entry.identityToken !== null
    ? null
    : 'has neither username nor password; only the command line runs credential helpers, which may have them'
}

/** Reads all entries and faults of a docker config. A fault contains no text of the config, which may be a password. */
export function readDockerConfig(text: string, form: DockerConfigForm): ParsedDockerConfig {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return unreadable('not-json')
  }
  const fields = document ?? {}
  if (!isObject(fields)) return unreadable('not-an-object')
  if (form === 'legacy') return { ...readAuths([fields]), hasHelpers: false }
  const auths = readAuths(valuesOf(fields, 'auths'))
  return {
    entries: auths.entries,
    fault: auths.fault ?? (hasValidHeaders(fields) ? null : 'headers-not-text'),
    hasHelpers: 'credsStore' in fields || 'credHelpers' in fields,
  }
}

/** A name that is part of a file name. */
const helperName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Returns the credential helper of a docker config for a server: `desktop`. Null if there is none, or its name is invalid. */
export function helperFor(text: string, server: string): string | null {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return null
  }
  if (!isObject(document)) return null
  const { credHelpers, credsStore } = document
  const byServer = isObject(credHelpers) && Object.hasOwn(credHelpers, server)
  const name = byServer ? credHelpers[server] : credsStore
  return typeof name === 'string' && helperName.test(name) ? name : null
}

function unreadable(fault: DockerConfigFault): ParsedDockerConfig {
  return { fault, entries: [], hasHelpers: false }
}

/**
 * Reads `auths`, and members whose names differ only in case. Go adds the entries of each to one map, which `null` empties. A
 * later entry does not replace one with a fault.
 */
function readAuths(values: readonly unknown[]): Pick<ParsedDockerConfig, 'entries' | 'fault'> {
  const faulty: ParsedEntry[] = []
  const valid = new Map<string, ParsedEntry>()
  let fault: DockerConfigFault | null = null
  for (const value of values) {
    if (value === null) valid.clear()
    else if (!isObject(value)) fault ??= 'auths-not-an-object'
    for (const [name, entry] of Object.entries(isObject(value) ? value : {})) {
      const parsed = { key: name.toWellFormed(), ...readEntry(entry) }
      if (parsed.fault === null) valid.set(name, parsed)
      else faulty.push(parsed)
    }
  }
  return { entries: [...valid.values(), ...faulty], fault }
}

function hasValidHeaders(document: JsonObject): boolean {
  return valuesOf(document, 'HttpHeaders').every(
    (headers) =>
      headers === null ||
      (isObject(headers) &&
        Object.values(headers).every((value) => value === null || typeof value === 'string')),
  )
}

/** Matches names in any case. The flags `i` and `u` fold case as Go does (encoding/json, fold.go): `ſ` is an s. */
function valuesOf(object: JsonObject, name: string): unknown[] {
  const pattern = new RegExp(`^${name}$`, 'iu')
  return Object.entries(object).flatMap(([key, value]) => (pattern.test(key) ? [value] : []))
}

export type Login = Pick<DockerConfigEntry, 'username' | 'password'>

type ParsedLogin =
  | (Login & { readonly fault: null; readonly identityToken: string | null })
  | { readonly fault: DockerConfigFault }

/** A non-empty `auth` replaces `username` and `password`. */
function readEntry(value: unknown): ParsedLogin {
  const fields = value ?? {}
  if (!isObject(fields)) return { fault: 'entry-not-an-object' }
  const username = readText(fields, 'username')
  const password = readText(fields, 'password')
  const auth = readText(fields, 'auth')
  const email = readText(fields, 'email')
  if (username === null || password === null || auth === null || email === null) {
    return { fault: 'field-not-text' }
  }
  const login = auth === '' ? { username, password } : decodeAuth(auth)
  if (typeof login === 'string') return { fault: login }
  const token = fields['identitytoken']
  return {
    fault: null,
    ...login,
    identityToken: typeof token === 'string' && token !== '' ? token : null,
  }
}

/** Returns an empty text for a missing member, and null for one that is not a string. */
function readText(object: JsonObject, name: string): string | null {
  let text = ''
  for (const value of valuesOf(object, name)) {
    if (typeof value === 'string') text = value.toWellFormed()
    else if (value !== null) return null
  }
  return text
}

/**
 * Decodes standard base64, padded or not, and splits it at the first colon, because passwords may contain colons (config.go,
 * decodeDockerConfigFieldAuth).
 */
export function decodeAuth(auth: string): Login | DockerConfigFault {
  // Go's decoder ignores line breaks.
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
