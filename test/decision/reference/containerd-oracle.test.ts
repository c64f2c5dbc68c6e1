/**
 * Compares how Berth and containerd read images. e2e/oracles/containerd-reference/golden.ts created the stored answers of
 * containerd. With Go installed, `REFERENCE_ORACLE=1` asks containerd about 50,000 more images.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { makeImages } from '../../../e2e/oracles/containerd-reference/cases.ts'
import {
  type GoldenCase,
  parseWithContainerd,
} from '../../../e2e/oracles/containerd-reference/golden.ts'
import { createLane } from '../../../src/async/lane.ts'
import { readConfig } from '../../../src/config/load.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import { formatAsPulled } from '../../../src/decision/reference/reference.ts'
import { createDecideByRow } from '../../../src/decision/resolve/decide-by-row.ts'
import { hasDenial } from '../../../src/decision/resolve/resolve-policy.ts'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import { createAdmit } from '../../../src/webhook/admission/admit.ts'
import type { AdmissionRequest } from '../../../src/webhook/admission/admission-review.ts'
import { noNamespaceLookup } from '../../../src/webhook/admission/namespace-lookup.ts'
import { registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

const { REFERENCE_ORACLE, FUZZ_SEED } = process.env

/** Stored answers, and with `REFERENCE_ORACLE` new ones. */
function readCases(): GoldenCase[] {
  const fixture = new URL('../../fixtures/containerd-reference.jsonl.gz', import.meta.url)
  const stored = gunzipSync(readFileSync(fixture))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as GoldenCase)
  if (REFERENCE_ORACLE === undefined) return stored
  const images = makeImages(50_000, Number(FUZZ_SEED ?? Date.now() % 2 ** 31))
  return [
    ...stored,
    ...parseWithContainerd(images).map((answer, index): GoldenCase => [
      images[index] as string,
      answer,
    ]),
  ]
}

const cases = readCases()
const accepted = cases.flatMap(([image, answer]) =>
  'pulled' in answer ? [{ image, ...answer }] : [],
)

/** The hand-picked cases, and every `nth` generated one. All of them with `REFERENCE_ORACLE`. */
function sampleOf<Case>(all: readonly Case[], nth: number): readonly Case[] {
  return REFERENCE_ORACLE === undefined
    ? all.filter((_, index) => index < 120 || index % nth === 0)
    : all
}

describe('images that containerd pulls', () => {
  it('are parsed with the same result, unless they are longer than an image can be', () => {
    expect(accepted.length).toBeGreaterThan(3_000)
    const different = accepted.filter(({ image, pulled, host }) => {
      const parsed = parseReference(image)
      if (!parsed.ok) return host.length <= 259 && image.length <= 4_096
      return formatAsPulled(parsed.reference) !== pulled
    })

    expect(different).toEqual([])
  })
})

const config = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: m.example, mirror: true }
  - { host: 'p.example', endpoint: 'http://p.example', mirror: true }
fallback:
  - { name: own, images: ['m.example/**', 'p.example/**'], try: ['{host}/{path}'] }
  - { name: closed, images: ['**'], try: ['m.example/{host}/{path}'], otherwise: deny }
`

/** Hosts that are the same server as a mirror of the config: its https port is the default, and http for p.example. */
function isMirror(host: string): boolean {
  const [, name = '', port = ''] = /^(.*?)(?::0*([0-9]+))?$/.exec(host.toLowerCase()) ?? []
  if (name === 'm.example') return port === '' || port === '443'
  return name === 'p.example' && (port === '' || port === '80')
}

describe('a closing row with otherwise: deny', () => {
  const read = readConfig(config, '/nowhere')
  if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join('\n'))
  const policy = read.config
  const registries = registriesOf({})
  const dependencies = {
    ...registries.dependencies,
    isListed: (host: string) => policy.registries.has(host),
  }
  const bugs: unknown[] = []
  const admit = createAdmit({
    currentEngine: () => ({
      policy,
      decide: createDecide(dependencies, policy),
      decideByRow: createDecideByRow(dependencies, policy),
      hasDenial: hasDenial(policy),
    }),
    namespaceLookup: noNamespaceLookup,
    lane: createLane(),
    onBug: (error) => bugs.push(error),
  })
  const signal = AbortSignal.timeout(600_000)

  async function isAdmitted(request: AdmissionRequest): Promise<boolean> {
    const { verdict } = await admit(request, { signal: () => signal, observeOnly: false })
    return verdict.denied === null
  }

  it.each([
    ['a container', (image: string) => requestOf(podOf([image]))],
    [
      'an init container',
      (image: string) => requestOf(podOf([], { initContainers: [{ name: 'i', image }] })),
    ],
    [
      'an image volume',
      (image: string) =>
        requestOf(podOf([], { volumes: [{ name: 'v', image: { reference: image } }] })),
    ],
    [
      'an ephemeral container',
      (image: string) =>
        requestOf(podOf([], { ephemeralContainers: [{ name: 'e', image }] }), {
          operation: 'UPDATE',
          subResource: 'ephemeralcontainers',
          oldObject: podOf([]),
        }),
    ],
    [
      'an update',
      (image: string) =>
        requestOf(podOf([image]), { operation: 'UPDATE', oldObject: podOf(['m.example/x']) }),
    ],
  ])(
    'denies every image that containerd would pull from elsewhere: %s',
    async (place, makeRequest) => {
      const admitted: string[] = []
      for (const { image, host } of sampleOf(accepted, place === 'a container' ? 3 : 20))
        if ((await isAdmitted(makeRequest(image))) && !isMirror(host)) admitted.push(image)

      expect(admitted).toEqual([])
      expect(bugs).toEqual([])
    },
  )

  it('admits the images of the mirrors, in every spelling', async () => {
    const denied: string[] = []
    for (const { image, host } of accepted)
      if (isMirror(host) && !(await isAdmitted(requestOf(podOf([image]))))) denied.push(image)

    expect(denied).toEqual([])
  })

  it('denies images that containerd does not accept either', async () => {
    const admitted: string[] = []
    for (const [image, answer] of sampleOf(cases, 5))
      if ('error' in answer && image !== '' && (await isAdmitted(requestOf(podOf([image])))))
        admitted.push(image)

    expect(admitted).toEqual([])
  })
})
