/**
 * Reviews that nobody has thought of. `FUZZ_RUNS=100000` runs each property that often, `FUZZ_SEED` repeats a run:
 * the seed is in the message of a failure.
 */
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { imagesAnnotation } from '../../src/admission/annotation.ts'
import { annotations, findSites, isMirrorPod, member } from '../../src/pod/sites.ts'
import { createApp } from '../../src/server/app.ts'
import { makeCertificates } from '../../src/server/tls.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { digestA } from '../support/questions.ts'
import { expectRefusal, expectResponse } from './answer.ts'
import { applyOperations, differences } from './json-patch.ts'
import { hostileImages, podToDeny, review, reviewText, wildReview } from './pods.ts'
import { createSubject, deniedImage, knownHosts } from './subject.ts'

const { FUZZ_RUNS, FUZZ_SEED } = process.env
const unhurried = { timeout: 3_600_000 }

function runs(numRuns: number) {
  const seed = FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }
  return { numRuns: Number(FUZZ_RUNS ?? numRuns), ...seed }
}

const prototypes = [Object, Array, Function, String, Number, Map, Set, Promise, Error, Buffer]
const namesOfPrototypes = () => prototypes.map(({ prototype }) => Reflect.ownKeys(prototype))
const namesAtStart = namesOfPrototypes()

afterEach(() => {
  expect(namesOfPrototypes()).toEqual(namesAtStart)
})

interface Request {
  readonly operation: unknown
  readonly object: unknown
  readonly oldObject: unknown
}

function requestIn(text: string): Request {
  return (JSON.parse(text) as { readonly request: Request }).request
}

describe('a pod that a tenant has written', () => {
  const subject = createSubject()

  it('is admitted, whatever is in it (B2, B8)', unhurried, async () => {
    await fc.assert(
      fc.asyncProperty(review, async (text) => {
        const response = await subject.answer(text)

        expectResponse(response)
        expect([response['uid'], response['allowed']]).toEqual(['u1', true])
        expect(subject.bugs).toEqual([])
      }),
      runs(2_000),
    )
  })

  it(
    'gets a patch that applies and touches nothing but its leaves (P3, P4)',
    unhurried,
    async () => {
      await fc.assert(
        fc.asyncProperty(review, async (text) => {
          const { object } = requestIn(text)
          const after = applyOperations(object, expectResponse(await subject.answer(text)))

          expect(differences(object, after).filter((path) => !isOurs(object, path))).toEqual([])
        }),
        runs(2_000),
      )
    },
  )

  it('is the same after the second time as after the first (P6)', unhurried, async () => {
    await fc.assert(
      fc.asyncProperty(review, async (text) => {
        const { object, operation, oldObject } = requestIn(text)
        fc.pre(isConsistent(object))
        const once = applyOperations(object, expectResponse(await subject.answer(text)))
        const again = JSON.stringify({
          ...JSON.parse(text),
          request: { ...requestIn(text), object: once },
        })
        const twice = applyOperations(once, expectResponse(await subject.answer(again)))

        expect(differences(once, twice), JSON.stringify({ operation, oldObject })).toEqual([])
      }),
      runs(2_000),
    )
  })

  it('makes nobody ask a host that is not of the configuration (B4, B5)', unhurried, async () => {
    await fc.assert(
      fc.asyncProperty(review, async (text) => {
        await subject.answer(text)

        for (const { host, repository, reference } of subject.asked) {
          expect(knownHosts).toContain(host)
          expect(repository).toMatch(/^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/)
          expect(repository).not.toContain('..')
          expect(reference).toMatch(
            /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha\d{3}:[a-f0-9]{64,128})$/,
          )
        }
      }),
      runs(2_000),
    )
  })
})

/** True for the leaves that Berth may write, and for the things that hold them where there was none. */
function isOurs(before: unknown, path: readonly (string | number)[]): boolean {
  const [top, list, third, fourth, fifth] = path
  const was = member(member(before, String(top)), String(list))
  if (top === 'metadata' && list === 'annotations') {
    return path.length === 2 ? !isPlain(was) : path.length === 3 && third === imagesAnnotation
  }
  if (top !== 'spec') return false
  if (list === 'imagePullSecrets') {
    return Array.isArray(was) ? path.length === 3 && Number(third) >= was.length : path.length === 2
  }
  if (list === 'volumes') {
    return (
      path.length === 5 && fourth === 'image' && ['reference', 'pullPolicy'].includes(String(fifth))
    )
  }
  return (
    ['initContainers', 'containers', 'ephemeralContainers'].includes(String(list)) &&
    path.length === 4 &&
    ['image', 'imagePullPolicy'].includes(String(fourth))
  )
}

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Two containers of one name are refused by the API server after Berth, which tells sites apart by their names. */
function isConsistent(pod: unknown): boolean {
  const names = findSites(pod).map(({ name }) => name)
  return new Set(names).size === names.length
}

describe('a pod that a rule refuses', () => {
  const subject = createSubject({ denies: true })

  it('is refused, whatever else is in it, and nothing else is', unhurried, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          podToDeny.map((pod) => reviewText(pod)),
          review,
        ),
        async (text) => {
          const { object } = requestIn(text)
          const response = await subject.answer(text)
          const after = applyOperations(object, expectResponse(response))
          const runsIt = findSites(after).some(({ image }) => image === deniedImage)

          expect(subject.bugs).toEqual([])
          if (response['allowed'] === true) expect(runsIt && !isMirrorPod(object)).toBe(false)
          else
            expect(JSON.stringify(response['status'])).toContain(
              'row no-entry says otherwise: deny',
            )
        },
      ),
      runs(2_000),
    )
  })
})
