/**
 * Compares how Berth, Kyverno and policy-controller match globs. e2e/oracles/policy-globs/golden.ts created the stored
 * answers of the engines. With Go installed, `POLICY_ORACLE=1` asks them about 150,000 more cases.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import {
  type GlobCase,
  makeCases,
  type PolicyEngineName,
} from '../../e2e/oracles/policy-globs/cases.ts'
import { type GoldenCase, matchWithGo } from '../../e2e/oracles/policy-globs/golden.ts'
import {
  kyvernoImagePolicies,
  kyvernoRules,
  policyController,
  type PolicyEngine,
} from '../../src/policies/engine-name.ts'
import { compileWildcard, matchesWildcard } from '../../src/policies/wildcard.ts'

const { POLICY_ORACLE, FUZZ_SEED } = process.env

function readCases(): GoldenCase[] {
  const fixture = new URL('../fixtures/policy-globs.jsonl.gz', import.meta.url)
  const stored = gunzipSync(readFileSync(fixture))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as GoldenCase)
  if (POLICY_ORACLE === undefined) return stored
  const cases = makeCases(50_000, Number(FUZZ_SEED ?? Date.now() % 2 ** 31))
  const answers = matchWithGo(cases)
  return [...stored, ...cases.map((one, index) => [one, answers[index]] as GoldenCase)]
}

const engines: Readonly<Record<PolicyEngineName, PolicyEngine>> = {
  kyverno: kyvernoRules,
  gobwas: kyvernoImagePolicies,
  sigstore: policyController,
}

/** Null if Berth does not accept the glob, and so says that it does not check it. */
function match({ engine, glob, image }: GlobCase): boolean | null {
  const { syntax, nameOf } = engines[engine]
  const compiled = compileWildcard(glob, syntax)
  if (!compiled.ok) return null
  return compiled.alternatives.some((each) => matchesWildcard(each, nameOf(image)))
}

const cases = readCases()

it('matches the images that the engines match', () => {
  expect(cases.length).toBeGreaterThan(6_000)
  const accepted = cases.filter(([one, answer]) => 'matches' in answer && match(one) !== null)
  const different = accepted.filter(
    ([one, answer]) => 'matches' in answer && match(one) !== answer.matches,
  )

  expect(different.slice(0, 10)).toEqual([])
  expect(accepted.length / cases.length).toBeGreaterThan(0.8)
})

it('accepts no glob of policy-controller that policy-controller does not accept', () => {
  const accepted = cases.filter(
    ([{ engine, glob }, answer]) =>
      engine === 'sigstore' &&
      'error' in answer &&
      answer.error.startsWith('invalid glob') &&
      compileWildcard(glob, 'sigstore').ok,
  )

  expect(accepted.slice(0, 10)).toEqual([])
})
