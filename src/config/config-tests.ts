/** Runs the `tests` of a config. Each image is decided as if its first candidate were found. */
import { imagesToPull, missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import type { Config, ConfigTest } from './config.ts'
import { redactText } from './redact.ts'

export interface TestResult {
  /** The index in the list. */
  readonly index: number
  readonly test: ConfigTest
  /** The first expectation that fails; null if the test passes. */
  readonly failure: string | null
}

export function runConfigTests(config: Config): TestResult[] {
  return config.tests.map((test, index) => {
    const failure = failureOf(config, test)
    return { index, test, failure: failure === null ? null : redactText(failure) }
  })
}

function failureOf(
  config: Config,
  { image, namespace, labels, owners, expect, row, secrets }: ConfigTest,
): string | null {
  const parsed = parseReference(image)
  if (!parsed.ok) return `${image} is not a valid image: ${parsed.message}`
  const pod = { namespace, labels, owners }
  const resolution = resolveWithoutProbing(config, { reference: parsed.reference, pod })
  const actual = resolution.changed ? formatReference(resolution.chosen) : image
  const expected = parseReference(expect)
  const isSame =
    expected.ok && formatReference(resolution.chosen) === formatReference(expected.reference)
  if (actual !== expect && !isSame)
    return `expected ${expect}, got ${actual} (row ${resolution.row ?? 'none'})`
  if (row !== undefined && row !== resolution.row)
    return `expected row ${row ?? 'none'}, got ${resolution.row ?? 'none'}`
  const added = missingPullSecrets(config.pullSecrets, {
    context: pod,
    pod: {},
    images: imagesToPull([resolution]),
  })
  if (secrets !== undefined && listOf(secrets) !== listOf(added))
    return `expected pull secrets ${listOf(secrets)}, got ${listOf(added)}`
  return null
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}
