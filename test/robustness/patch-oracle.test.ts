/**
 * Compares Berth's patches with how the API server's own library applies them. e2e/oracles/json-patch/golden.ts generated the
 * stored cases; where Go is installed, `PATCH_ORACLE=1` compares 10,000 more.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  applyWithGo,
  type GoldenCase,
  makeCases,
  patchFor,
} from '../../e2e/oracles/json-patch/golden.ts'
import { applyPatch, type JsonPatch } from '../../src/decision/pod/patch.ts'
import { applyOperations, differences, type Operation, parseExactly } from './json-patch.ts'
import { createSubject } from './subject.ts'

const { PATCH_ORACLE, FUZZ_SEED } = process.env
const fixture = new URL('../fixtures/patches.json', import.meta.url)
const golden = JSON.parse(readFileSync(fixture, 'utf8')) as GoldenCase[]

/** Applies one patch with three implementations, and returns where two of them disagree. */
function disagreements({ object, patch, result }: GoldenCase): unknown[] {
  const before: unknown = JSON.parse(object)
  const expected: unknown = JSON.parse(result)
  const operations = JSON.parse(patch) as Operation[] & JsonPatch
  return [
    ...differences(expected, applyPatch(before, operations)),
    ...differences(expected, applyOperations(before, operations)),
    // Again with the literal text of every number.
    ...differences(parseExactly(result), applyOperations(parseExactly(object), operations)),
  ]
}

describe('the stored cases', () => {
  it('cover every operation and every kind of path that Berth uses', () => {
    const places = golden.flatMap(({ patch }) =>
      (JSON.parse(patch) as Operation[]).map(
        ({ op, path }) => `${op} ${path.replaceAll(/(?<=\/)\d+/g, 'N')}`,
      ),
    )

    expect(golden.length).toBeGreaterThanOrEqual(200)
    expect([...new Set(places)].toSorted()).toEqual([
      'add /metadata/annotations',
      'add /metadata/annotations/berth.dev~1images',
      'add /spec/containers/N/image',
      'add /spec/containers/N/imagePullPolicy',
      'add /spec/ephemeralContainers/N/image',
      'add /spec/ephemeralContainers/N/imagePullPolicy',
      'add /spec/imagePullSecrets',
      'add /spec/imagePullSecrets/-',
      'add /spec/initContainers/N/image',
      'add /spec/initContainers/N/imagePullPolicy',
      'add /spec/volumes/N/image/pullPolicy',
      'add /spec/volumes/N/image/reference',
      'remove /metadata/annotations/berth.dev~1images',
    ])
  })

  it('still get the same patches', async () => {
    const subject = createSubject()
    const patches: (string | null)[] = []
    for (const one of golden) patches.push(await patchFor(subject, one))

    expect(patches).toEqual(golden.map(({ patch }) => patch))
  })

  it('become the same pods in the API server, in `berth dev`, and by RFC 6902', () => {
    expect(golden.filter((one) => disagreements(one).length > 0)).toEqual([])
  })

  it('keep numbers beyond 2^53 and the literal text of numbers', () => {
    const results = golden.map(({ result }) => result).join('\n')

    for (const text of ['9007199254740993', '-18446744073709551615', '1e400', '0.10', '1E-7']) {
      expect(results).toContain(text)
    }
  })
})

describe.skipIf(PATCH_ORACLE !== '1')('10,000 generated pods', () => {
  it('get patches that the API server applies', { timeout: 600_000 }, async () => {
    const cases = await makeCases(10_000, Number(FUZZ_SEED ?? Date.now() % 2 ** 31))
    const answers = applyWithGo(cases)
    const wrong = answers.flatMap((answer, index) => {
      const one = cases[index]
      if (one === undefined || 'error' in answer) return [{ one, answer }]
      const differ = disagreements({ ...one, result: answer.result })
      return differ.length === 0 ? [] : [{ one, answer, differ }]
    })

    expect(answers).toHaveLength(10_000)
    expect(wrong).toEqual([])
  })
})
