/** Keys of the config that older versions of Berth reject. Pure. */
import type { ConfigProblem, PathPart } from './problem.ts'
import { createProblemList } from './problem-list.ts'
import { parseYamlDocument } from './yaml-document.ts'

/**
 * The keys that came after each version, without those below them. `[]` is each item of a list. A test compares them with
 * the schema of that version.
 */
export const keysAfter = {
  '0.1.0': [
    'registries[].copy',
    'registries[].clientCertificate',
    'registries[].proxy',
    'registries[].platforms',
    'fallback[].when',
    'fallback[].leave',
    'fallback[].platforms',
    'fallback[].pin',
    'knownConflicts',
    'pin.when',
    'pullPolicy[].when',
    'pullSecrets[].when',
    'conflicts',
    'stuckPods',
    'unprocessed',
    'availability',
    'reports',
    'mirror.verify',
    'mirror.foreignLayers',
    'pullSecretCopies.writesPerSecond',
    'tests[].labels',
    'tests[].owners',
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type OlderVersion = keyof typeof keysAfter

/** Text in the values of older keys that came after each version. */
const textAfter: Readonly<Record<OlderVersion, readonly (readonly [string, RegExp])[]>> = {
  '0.1.0': [
    ['fallback[].try[]', /\{(?:rest|flat)\}/],
    ['workloads[].pod', /\*/],
    ['workloads[].images[]', /\*/],
  ],
}

/** Returns an error for each key, and each text in a value, of a valid config that this version rejects. The running version rejects none. */
export function findNewerKeys(version: string, text: string): readonly ConfigProblem[] {
  if (!isOlder(version)) return []
  const document = parseYamlDocument(text)
  const problems = createProblemList(document)
  const report = (path: readonly PathPart[], what: string) => {
    const message = `Berth ${version} does not know ${what}; remove it before you go back to that version`
    problems.report('error', path, message)
  }
  for (const key of keysAfter[version])
    for (const { path } of find(document.value, key)) report(path, 'this key')
  for (const [key, pattern] of textAfter[version])
    for (const { path, value } of find(document.value, key)) {
      const [found] = pattern.exec(String(value)) ?? []
      if (found !== undefined) report(path, found)
    }
  return problems.list()
}

function isOlder(version: string): version is OlderVersion {
  return Object.hasOwn(keysAfter, version)
}

interface Found {
  readonly path: readonly PathPart[]
  readonly value: unknown
}

/** Returns the values of a key such as `fallback[].try[]`, in which `[]` is each item of a list. */
function find(root: unknown, key: string): readonly Found[] {
  let found: readonly Found[] = [{ path: [], value: root }]
  for (const member of key.split(/\.|(?=\[\])/))
    found = found.flatMap(({ path, value }) =>
      membersOf(value, member).map(([part, next]) => ({ path: [...path, part], value: next })),
    )
  return found
}

function membersOf(value: unknown, member: string): readonly (readonly [PathPart, unknown])[] {
  if (member === '[]') return Array.isArray(value) ? [...value.entries()] : []
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, member)) return []
  return [[member, (value as Record<string, unknown>)[member]]]
}
