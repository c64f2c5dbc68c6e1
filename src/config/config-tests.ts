/** Runs the `tests:` of a config: each image is decided as if the first candidate were found. */
import type { Config, ConfigTest } from './config.ts'
import { missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'

export interface TestResult {
  /** Its place in the list, counted from zero. */
  readonly index: number
  readonly test: ConfigTest
  /** What does not hold; null when all of it does. */
  readonly failure: string | null
}

export function runConfigTests(config: Config): TestResult[] {
  return config.tests.map((test, index) => ({ index, test, failure: failureOf(config, test) }))
}

function failureOf(
  config: Config,
  { image, namespace, expect, row, secrets }: ConfigTest,
): string | null {
  const parsed = parseReference(image)
  if (!parsed.ok) return `${image} is no image name: ${parsed.message}`
  const resolution = resolveWithoutProbing(config, { reference: parsed.reference, namespace })
  const got = resolution.changed ? formatReference(resolution.chosen) : image
  const want = parseReference(expect)
  const same = want.ok && formatReference(resolution.chosen) === formatReference(want.reference)
  if (got !== expect && !same)
    return `expected ${expect}, got ${got} (row ${resolution.row ?? 'none'})`
  if (row !== undefined && row !== resolution.row)
    return `expected row ${row ?? 'none'}, got ${resolution.row ?? 'none'}`
  const added = missingPullSecrets(config.pullSecrets, {}, [resolution.chosen])
  if (secrets !== undefined && listOf(secrets) !== listOf(added))
    return `expected pull secrets ${listOf(secrets)}, got ${listOf(added)}`
  return null
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}
