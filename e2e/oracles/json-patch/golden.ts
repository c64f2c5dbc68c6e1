/**
 * Applies Berth's patches with the library of the API server. Run as a program (`npm run oracle:json-patch`), it writes
 * test/fixtures/patches.json, which needs Go; run it after an intended change of patches.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { pod, reviewText } from '../../../test/robustness/pods.ts'
import { createSubject } from '../../../test/robustness/subject.ts'
import { askGo } from '../go-oracle.ts'

/** A pod and a patch. They are JSON text, because details of the text, such as large numbers, are part of the test. */
export interface PatchCase {
  readonly operation: 'CREATE' | 'UPDATE'
  readonly object: string
  readonly patch: string
}

export interface GoldenCase extends PatchCase {
  readonly result: string
}

type GoAnswer = { readonly error: string } | { readonly result: string }

const fixture = fileURLToPath(new URL('../../../test/fixtures/patches.json', import.meta.url))

/** Returns the text of the patch in Berth's response; null if there is none. */
export async function patchFor(
  subject: ReturnType<typeof createSubject>,
  { operation, object }: Pick<PatchCase, 'operation' | 'object'>,
): Promise<string | null> {
  const review = reviewText(object, { operation: JSON.stringify(operation) })
  const { patch } = await subject.answer(review)
  return typeof patch === 'string' ? Buffer.from(patch, 'base64').toString() : null
}

/** Returns `count` pods that Berth changes. The same seed gives the same pods. */
export async function makeCases(
  count: number,
  seed: number,
  maxLength = Number.POSITIVE_INFINITY,
): Promise<PatchCase[]> {
  const subject = createSubject()
  const cases: PatchCase[] = []
  const kinds = fc.tuple(pod, fc.constantFrom('CREATE' as const, 'UPDATE' as const))
  for (let round = 0; cases.length < count; round++) {
    for (const [text, operation] of fc.sample(kinds, { seed: seed + round, numRuns: count })) {
      const object = wellFormed(text)
      if (object.length > maxLength || hasBackslashName(object)) continue
      const patch = await patchFor(subject, { operation, object })
      if (patch !== null) cases.push({ operation, object, patch })
    }
  }
  return cases.slice(0, count)
}

/** Replaces unpaired surrogates, which an API server never sends because strings in Go cannot contain them. */
function wellFormed(text: string): string {
  return text.replaceAll(/\\ud[89a-f]../g, '\\ufffd')
}

/**
 * JSON.parse of V8 13.6 has a bug: after it parsed `{"p":1,"\\":2}` twice, it returns a backslash for the name in
 * `{"p":1,"\n":2}`. Berth neither reads such names nor serializes the object, but a comparison in the tests would fail.
 */
function hasBackslashName(text: string): boolean {
  return [...text.matchAll(/("(?:[^"\\]|\\.)*")(:?)/g)].some(
    ([, string = '', colon]) => colon === ':' && string.includes('\\\\'),
  )
}

/** Applies each patch with the Go program in this directory; returns the results as text. */
export function applyWithGo(cases: readonly PatchCase[]): GoAnswer[] {
  const questions = cases.map(({ object, patch }) => `{"object":${object},"patch":${patch}}`)
  return askGo('json-patch', questions).map(readAnswer)
}

/** Cuts the result out of the line, because parsing it would round its numbers. */
function readAnswer(line: string): GoAnswer {
  const start = '{"ok":true,"result":'
  if (line.startsWith(start)) return { result: line.slice(start.length, -1) }
  return { error: (JSON.parse(line) as { readonly error: string }).error }
}

const berthAnnotation = 'berth.dev/images'
const web = '{"name":"web","image":"nginx"}'
const withMetadata = (metadata: string, spec = `"containers":[${web}]`) =>
  `{"metadata":${metadata},"spec":{${spec}}}`

/** Cases that random generation would rarely find. */
const handWritten: readonly string[] = [
  withMetadata('{"generation":9007199254740993}'),
  withMetadata(
    '{}',
    `"containers":[{"name":"web","image":"nginx","n":[9007199254740993,-18446744073709551615,1e400,0.10,-0,1E-7]}]`,
  ),
  withMetadata(
    '{}',
    `"big":18446744073709551616,"containers":[{"ports":[1.0,1e2],"image":"nginx"}]`,
  ),
  withMetadata('{"annotations":null}', `"imagePullSecrets":null,"containers":[${web}]`),
  withMetadata('{"annotations":{}}', `"imagePullSecrets":[],"containers":[${web}]`),
  withMetadata('{"annotations":{"a/b":"1","a~b":"2","a~1b":"3","":"4","~0":"5"}}'),
  withMetadata(
    '{"annotations":{"<&>":"<script>&\\u2028","\\u0000":"\\u001f","é":"\\ud83d\\ude00"}}',
  ),
  withMetadata('{"annotations":{"__proto__":"x","constructor":"y"},"__proto__":{"a":1}}'),
  withMetadata(`{"annotations":{"${berthAnnotation}":"[]"}}`),
  withMetadata(
    `{"annotations":{"${berthAnnotation}":"forged","other":"stays"}}`,
    '"containers":[]',
  ),
  withMetadata(
    '{}',
    `"imagePullSecrets":[{"name":"theirs"},{"name":"last"}],"containers":[${web}]`,
  ),
  withMetadata('{}', `"imagePullSecrets":[{"name":"ours"}],"containers":[${web}]`),
  withMetadata('{}', '"volumes":[{"name":"v"},{"name":"m","image":{"reference":"nginx"}}]'),
  withMetadata('{}', `"containers":[null,${web},5,${web.replace('web', '~1')}]`),
  withMetadata('{"name":"a","name":"b"}', `"containers":[],"containers":[${web}]`),
  `{"spec":{"initContainers":[${web}]}}`,
]

async function writeGolden(): Promise<void> {
  const subject = createSubject()
  const fixedCases: PatchCase[] = []
  for (const object of handWritten) {
    const patch = await patchFor(subject, { operation: 'CREATE', object })
    if (patch === null) throw new Error(`no patch for ${object}`)
    fixedCases.push({ operation: 'CREATE', object, patch })
  }
  const cases = [...fixedCases, ...(await makeCases(200, 1, 700))]
  const golden = applyWithGo(cases).map((answer, index): GoldenCase => {
    const patchCase = cases[index] as PatchCase
    if ('error' in answer) throw new Error(`${answer.error}: ${JSON.stringify(patchCase)}`)
    return { ...patchCase, result: answer.result }
  })
  writeFileSync(fixture, `${JSON.stringify(golden, null, 2)}\n`)
  console.log(`wrote ${golden.length} cases to ${fixture}`)
}

if (import.meta.main) await writeGolden()
