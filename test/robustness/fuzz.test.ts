/** Property tests with generated reviews. For the number of runs see test/support/fast-check.ts. */
import { fc, runs, slow } from '../support/fast-check.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { imagesAnnotation } from '../../src/decision/pod/images-annotation.ts'
import { findSites, isMirrorPod } from '../../src/decision/pod/sites.ts'
import { member } from '../../src/json/json.ts'
import { digestA, digestB } from '../support/manifest-answers.ts'
import { expectErrorResponse, expectResponse } from './expect-response.ts'
import { applyOperations, differences } from './json-patch.ts'
import { mayChange } from './may-change.ts'
import {
  hostileImages,
  podToDeny,
  reviewWithRecords,
  review,
  reviewText,
  wildReview,
} from './pods.ts'
import { createSubject, deniedImage, knownHosts } from './subject.ts'
import { createTestServer } from './test-server.ts'

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

describe('a generated pod', () => {
  const subject = createSubject()

  it('is admitted, whatever it contains', slow, async () => {
    await fc.assert(
      fc.asyncProperty(review, async (text) => {
        const response = await subject.answer(text)

        expectResponse(response)
        expect([response['uid'], response['allowed']]).toEqual(['u1', true])
        expect(subject.bugs).toEqual([])
      }),
      runs(700),
    )
  })

  it(
    'gets a patch that applies and changes only images, pull policies, pull secrets and the annotation',
    slow,
    async () => {
      await fc.assert(
        fc.asyncProperty(review, async (text) => {
          const { object } = requestIn(text)
          const after = applyOperations(object, expectResponse(await subject.answer(text)))

          expect(differences(object, after).filter((path) => !mayChange(object, path))).toEqual([])
        }),
        runs(700),
      )
    },
  )

  it.each([
    ['', subject],
    [', with rows of known conflicts', createSubject({ hasConflicts: true })],
  ])('does not change when it is admitted a second time%s', slow, async (_, subject) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(review, reviewWithRecords), async (text) => {
        const { object } = requestIn(text)
        fc.pre(hasUniqueNames(object))
        const first = await subject.answer(text)
        const once = applyOperations(object, expectResponse(first))
        const again = JSON.stringify({
          ...JSON.parse(text),
          request: { ...requestIn(text), object: once },
        })
        const twice = applyOperations(once, expectResponse(await subject.answer(again)))

        expect(differences(once, twice)).toEqual([])
      }),
      runs(700),
    )
  })

  it('causes requests to hosts of the config only', slow, async () => {
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
      runs(700),
    )
  })
})

/** False for two containers of one name, which the API server rejects after admission. Sites are known by their names. */
function hasUniqueNames(pod: unknown): boolean {
  const names = findSites(pod).map(({ name }) => name)
  return new Set(names).size === names.length
}

/** The records of the annotation, sorted; empty if it is not a list. */
function recordsIn(pod: unknown): string[] {
  const text = member(member(member(pod, 'metadata'), 'annotations'), imagesAnnotation)
  try {
    const claims: unknown = JSON.parse(text as string)
    return Array.isArray(claims) ? claims.map((claim) => JSON.stringify(claim)).toSorted() : []
  } catch {
    return []
  }
}

describe('a pod that a rule denies', () => {
  const subject = createSubject({ denies: true })

  it('is denied, whatever else it contains, and no other pod is', slow, async () => {
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
          const hasDenied = findSites(after).some(({ image }) => image === deniedImage)

          expect(subject.bugs).toEqual([])
          if (response['allowed'] === true) expect(hasDenied && !isMirrorPod(object)).toBe(false)
          else
            expect(JSON.stringify(response['status'])).toContain('row no-entry has otherwise: deny')
        },
      ),
      runs(700),
    )
  })
})

describe('a generated request', () => {
  it('gets a review or an error in plain text', slow, async () => {
    const { app, bugs } = await createTestServer()
    await fc.assert(
      fc.asyncProperty(requests, async ({ method, url, headers, payload }) => {
        const {
          statusCode,
          headers: answer,
          body,
        } = await app.inject({
          method,
          url,
          headers: { ...headers },
          ...(payload === null ? {} : { payload }),
        })
        const type = answer['content-type']
        expect(bugs).toEqual([])
        if (statusCode !== 200)
          return expectErrorResponse(statusCode, type, method === 'HEAD' ? '-\n' : body)
        expect(type).toBe('application/json; charset=utf-8')
        const sent = JSON.parse(String(payload)) as { request: { uid: string } }
        const { apiVersion, kind, response, ...rest } = JSON.parse(body) as Record<string, unknown>
        expect([apiVersion, kind, rest]).toEqual(['admission.k8s.io/v1', 'AdmissionReview', {}])
        expectResponse(response as Record<string, unknown>)
        expect(response).toMatchObject({ uid: sent.request.uid, allowed: true })
      }),
      runs(700),
    )
    await app.close()
  })

  it.each([
    ['[', ''],
    ['[', ']'],
    ['{"a":', '}'],
    ['{"request":', '}'],
  ])('gets 400 for 200,000 levels of %s%s', async (open, close) => {
    const { app } = await createTestServer()
    const { statusCode } = await app.inject({
      method: 'POST',
      url: '/mutate',
      headers: { 'content-type': 'application/json' },
      payload: `${open.repeat(200_000)}1${close.repeat(200_000)}`,
    })

    expect(statusCode).toBe(400)
    await app.close()
  })
})

const bodies = fc.oneof(
  { arbitrary: wildReview, weight: 6 },
  { arbitrary: review, weight: 2 },
  {
    arbitrary: fc.tuple(review, fc.nat()).map(([text, at]) => text.slice(0, at % text.length)),
    weight: 1,
  },
  { arbitrary: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)), weight: 1 },
)
const requests = fc.record({
  method: fc.oneof(
    { arbitrary: fc.constant('POST' as const), weight: 12 },
    fc.constantFrom(
      'GET' as const,
      'HEAD' as const,
      'PUT' as const,
      'DELETE' as const,
      'PATCH' as const,
      'OPTIONS' as const,
    ),
  ),
  url: fc.oneof(
    {
      arbitrary: fc.constantFrom('/mutate', '/mutate?timeout=5s', '/observe', '/mutate/'),
      weight: 8,
    },
    fc.constantFrom(
      '/',
      '/mutate?timeout=1s&timeout=2s',
      '/mutate?__proto__=x&constructor[a]=b',
      '/Mutate',
      '/mutate/..',
      '/metrics',
      '//mutate',
    ),
  ),
  headers: fc.oneof(
    { arbitrary: fc.constant({ 'content-type': 'application/json' }), weight: 12 },
    fc.constantFrom(
      { 'content-type': 'application/json; charset=utf-16' },
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/jsonx' },
      { 'content-type': '' },
    ),
  ),
  payload: fc.oneof({ arbitrary: bodies, weight: 12 }, fc.constant(null)),
})

const many = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index))
const containers = (images: readonly string[]) => ({
  spec: { containers: images.map((image, index) => ({ name: `c${index}`, image })) },
})

describe('an oversized pod', () => {
  it.each([
    [
      '5,000 variables',
      {
        spec: {
          containers: [
            { image: 'nginx', env: many(5_000, (n) => ({ name: `V${n}`, value: 'x' })) },
          ],
        },
      },
    ],
    ['100 containers', containers(many(100, (n) => `quay.io/team/app${n}`))],
    ['2,000 containers of one image', containers(many(2_000, () => 'nginx'))],
    [
      '5,000 invalid containers',
      { spec: { containers: many(5_000, (n) => [null, n, 'x', [], {}][n % 5]) } },
    ],
    ['5,000 invalid images', containers(many(5_000, (n) => `${n}\n@`))],
    [
      'full annotations',
      { metadata: { annotations: { a: 'x'.repeat(262_143) } }, ...containers(['nginx']) },
    ],
    [
      '100,000 records',
      {
        metadata: {
          annotations: { [imagesAnnotation]: JSON.stringify(many(100_000, () => ({}))) },
        },
        ...containers(['nginx']),
      },
    ],
    [
      '5,000 pull secrets',
      {
        spec: {
          ...containers(['nginx']).spec,
          imagePullSecrets: many(5_000, (n) => ({ name: `s${n}` })),
        },
      },
    ],
  ])('with %s is admitted', async (_, object) => {
    const subject = createSubject()
    const operations = expectResponse(await subject.answer(reviewText(JSON.stringify(object))))

    expect(
      differences(object, applyOperations(object, operations)).every((path) =>
        mayChange(object, path),
      ),
    ).toBe(true)
    expect(subject.bugs).toEqual([])
  })

  it.each(hostileImages)(
    'keeps the image %j or gets one on a host of the config',
    async (image) => {
      const subject = createSubject()
      const object = containers([image])
      const operations = expectResponse(await subject.answer(reviewText(JSON.stringify(object))))
      const [after] = findSites(applyOperations(object, operations))

      expect(
        after?.image === image ||
          /^(?:mirror\.example|docker\.io|quay\.io(?::443)?)\//.test(after?.image ?? ''),
      ).toBe(true)
      expect(subject.asked.every(({ host }) => knownHosts.has(host))).toBe(true)
    },
  )

  const sizes = [4_096, 4_097, 65_536, 1_048_576]
  const parts = [
    'a',
    'a.',
    'a-',
    'a_',
    'a/',
    '-',
    '.',
    ':',
    '@',
    '/',
    'A',
    'é',
    '\u0000',
    '0',
    'sha256:',
    '[',
    ' ',
  ]
  it.each(parts.flatMap((part) => sizes.map((size) => [part, size] as const)))(
    'keeps an image of %j that is %i characters long',
    async (part, size) => {
      const subject = createSubject()
      const image = `quay.io/${part.repeat(size / part.length)}`
      const response = await subject.answer(reviewText(JSON.stringify(containers([image]))))

      expect([expectResponse(response), response['allowed'], subject.asked]).toEqual([[], true, []])
    },
  )

  it.each([['object'], ['oldObject'], ['options']])(
    'is admitted with 200,000 levels in %s',
    async (place) => {
      const subject = createSubject()
      const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
      const pod = `{"metadata":{"labels":${deep}},"spec":{"containers":[{"image":"nginx","env":${deep}}]}}`
      const text = reviewText(place === 'object' ? pod : JSON.stringify(containers(['nginx'])), {
        operation: '"UPDATE"',
        ...(place === 'object' ? {} : { [place]: pod }),
      })
      const [operation] = expectResponse(await subject.answer(text))

      expect(operation).toMatchObject({ op: 'add', path: '/spec/containers/0/image' })
      expect(subject.bugs).toEqual([])
    },
  )
})

/** A record of a site that the pod does not have, so that it would be kept unchanged. */
const deepRecord = `{"site":"containers/x","from":"","to":"","row":null,"why":"","deep":${'['.repeat(20_000)}${']'.repeat(20_000)}}`

describe('a forged record in the annotation', () => {
  const podWithRecords = (records: string, images: readonly string[]) =>
    JSON.stringify({
      metadata: { annotations: { [imagesAnnotation]: records } },
      ...containers(images),
    })

  it.each([
    [
      'members of the prototype',
      '[{"__proto__":{"site":"containers/c0"},"constructor":1,"toString":2}]',
    ],
    ['an object', '{"__proto__":[]}'],
    ['20,000 levels', `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
    ['invalid JSON', '[{'],
    ['nothing', ''],
  ])('has no effect when it is %s', async (_, records) => {
    const subject = createSubject()
    const response = await subject.answer(reviewText(podWithRecords(records, ['nginx'])))

    expect(expectResponse(response)[0]).toMatchObject({
      path: '/spec/containers/0/image',
      value: `mirror.example/docker.io/library/nginx:latest@${digestA}`,
    })
    expect(subject.bugs).toEqual([])
  })

  it('cannot get a pod past a rule by making admission fail', async () => {
    const subject = createSubject({ denies: true })
    const response = await subject.answer(
      reviewText(podWithRecords(`[${deepRecord}]`, [deniedImage])),
    )

    expect(response['allowed']).toBe(false)
  })

  it('is applied once and not followed further', async () => {
    const records = [
      {
        site: 'containers/c0',
        from: 'elsewhere.example/app:1',
        to: 'quay.io/team/app:1',
        row: null,
        why: '',
      },
      { site: 'containers/c0', from: 'nginx', to: 'elsewhere.example/app:1', row: null, why: '' },
    ]
    const [once, twice] = await admitTwice(
      podWithRecords(JSON.stringify(records), ['quay.io/team/app:1']),
      '{}',
    )

    expect(twice).toEqual(once)
  })

  it('is removed when the image that it describes has changed', async () => {
    const records = [{ site: 'containers/c0', from: 'nginx', to: 'old', row: 'hub', why: 'found' }]
    const [once] = await admitTwice(
      podWithRecords(JSON.stringify(records), ['elsewhere.example/app:1']),
      JSON.stringify(containers(['old'])),
    )

    expect(recordsIn(once)).toEqual([])
  })

  it('keeps its place when Berth wrote it', async () => {
    const old = JSON.stringify(containers(['quay.io/team/old:1', `quay.io/team/app:1@${digestB}`]))
    const [once, twice] = await admitTwice(
      podWithRecords('[]', ['nginx', 'ghcr.io/team/app:1']),
      old,
    )

    expect(twice).toEqual(once)
  })

  async function admitTwice(object: string, oldObject: string): Promise<[unknown, unknown]> {
    const subject = createSubject()
    const admit = async (text: string) => {
      const review = reviewText(text, { operation: '"UPDATE"', oldObject })
      return applyOperations(JSON.parse(text), expectResponse(await subject.answer(review)))
    }
    const once = await admit(object)
    return [once, await admit(JSON.stringify(once))]
  }
})
