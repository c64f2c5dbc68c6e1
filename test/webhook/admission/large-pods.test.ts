import { describe, expect, it } from 'vitest'
import { createLane } from '../../../src/async/lane.ts'
import type { AdmissionPolicy } from '../../../src/decision/pod/decide-sites.ts'
import { readRecords } from '../../../src/decision/pod/images-annotation.ts'
import { applyPatch } from '../../../src/decision/pod/patch.ts'
import { findSites } from '../../../src/decision/pod/sites.ts'
import { createDecideByRow } from '../../../src/decision/resolve/decide-by-row.ts'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import { hasDenial, type ResolvePolicy } from '../../../src/decision/resolve/resolve-policy.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import { createAdmissionLog } from '../../../src/webhook/admission/admission-log.ts'
import { writeReview } from '../../../src/webhook/admission/admission-response.ts'
import type { AdmissionRequest } from '../../../src/webhook/admission/admission-review.ts'
import { createAdmit } from '../../../src/webhook/admission/admit.ts'
import { noNamespaceLookup } from '../../../src/webhook/admission/namespace-lookup.ts'
import { failed, found, registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'
import { type RowInput, tableOf } from '../../support/tables.ts'

const hubRow: RowInput = {
  name: 'hub',
  images: ['docker.io/**'],
  try: ['m.example/{path}', 'docker.io/{path}'],
}
const quayRow: RowInput = { name: 'quay', images: ['quay.io/**'], try: ['m.example/{path}'] }

interface Setting {
  readonly rows?: readonly RowInput[]
  readonly policy?: Partial<ResolvePolicy & AdmissionPolicy>
  readonly registries?: ReturnType<typeof registriesOf>
  readonly signal?: AbortSignal
  readonly observeOnly?: boolean
}

async function admit(request: AdmissionRequest, setting: Setting = {}) {
  const { registries = registriesOf({ 'm.example': found() }) } = setting
  const policy: ResolvePolicy & AdmissionPolicy = {
    table: tableOf(['m.example'], setting.rows ?? [hubRow, quayRow]),
    pin: { matches: () => false, unresolved: 'keep' },
    pullPolicy: [],
    pullSecrets: [],
    mode: 'enforce',
    ...setting.policy,
  }
  const bugs: unknown[] = []
  const handler = createAdmit({
    currentEngine: () => ({
      policy,
      decide: createDecide(registries.dependencies, policy),
      decideByRow: createDecideByRow(registries.dependencies, policy),
      hasDenial: hasDenial(policy),
    }),
    namespaceLookup: noNamespaceLookup,
    lane: createLane(),
    onBug: (error) => bugs.push(error),
  })
  const { signal = AbortSignal.timeout(10_000), observeOnly = false } = setting
  const admission = await handler(request, { signal: () => signal, observeOnly })
  expect(bugs).toEqual([])
  const after = applyPatch(request.object, admission.verdict.patch)
  return { ...admission, after, asked: registries.asked }
}

const imagesOf = (count: number, host = 'docker.io') =>
  Array.from({ length: count }, (_, index) => `${host}/team/app${index}:1`)
const imagesIn = (pod: unknown) => findSites(pod).map(({ image }) => image)

describe('a pod with 12,000 containers of distinct images', () => {
  it('gets the first 256 images probed, the others unchanged, and a warning with the numbers', async () => {
    const images = imagesOf(12_000)
    const { after, asked, verdict, rest } = await admit(requestOf(podOf(images)))

    expect(asked.toSorted()).toEqual(
      images
        .slice(0, 256)
        .map((image) => image.replace('docker.io', 'm.example'))
        .toSorted(),
    )
    expect(imagesIn(after)).toEqual([
      ...images.slice(0, 256).map((image) => image.replace('docker.io', 'm.example')),
      ...images.slice(256),
    ])
    expect(rest?.fields).toBe(11_744)
    expect(verdict.warnings).toEqual([
      'berth: more than 256 images or 1024 fields: 11744 fields not probed, decided by their row',
    ])
  })

  it('yields to other work of the process', async () => {
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 1)
    const started = performance.now()
    await admit(requestOf(podOf(imagesOf(12_000))))
    const elapsed = performance.now() - started
    clearInterval(timer)

    // Without turns, the timer fires only while a registry is asked, and not during most of the work.
    expect(ticks).toBeGreaterThan(10)
    expect(elapsed / ticks).toBeLessThan(100)
  })

  it('is denied for its last image if that has a row with otherwise: deny, without a probe', async () => {
    const { verdict, asked } = await admit(
      requestOf(podOf([...imagesOf(12_000), 'quay.io/team/last:1'])),
      { rows: [hubRow, { ...quayRow, otherwise: 'deny' }] },
    )

    expect(asked).toEqual([])
    expect(verdict.denied).toBe(
      'berth: quay.io/team/last:1: row quay has otherwise: deny; m.example skipped (not probed: the pod has more than 256 images or 1024 image fields); not found; denied by the row (otherwise: deny); copy the image to a mirror, or change the rule',
    )
  })

  it('is denied if an image beyond the limit needs a pin and the config says unresolved: deny', async () => {
    const { verdict } = await admit(requestOf(podOf(imagesOf(300))), {
      policy: { pin: { matches: () => true, unresolved: 'deny' } },
    })

    expect(verdict.denied).toContain('docker.io/team/app256:1: pin has unresolved: deny')
  })

  it('gets the first candidate for images beyond the limit if their row has otherwise: first', async () => {
    const images = imagesOf(12_000, 'quay.io')
    const { after, asked } = await admit(requestOf(podOf(images)), {
      rows: [{ ...quayRow, otherwise: 'first' }],
    })

    expect(asked).toHaveLength(256)
    expect(imagesIn(after)).toEqual(images.map((image) => image.replace('quay.io', 'm.example')))
  })

  it('gets images of a registry with probe: false rewritten beyond the limit', async () => {
    const images = imagesOf(300)
    const { after } = await admit(requestOf(podOf(images)), {
      registries: registriesOf({}, { trusted: ['m.example'] }),
    })

    expect(imagesIn(after)).toEqual(images.map((image) => image.replace('docker.io', 'm.example')))
  })

  it('has an annotation, an audit annotation and a log line within their limits', async () => {
    const lines: string[] = []
    const log = createAdmissionLog(
      createLogs('info', { write: (line: string) => lines.push(line) }).admissions,
    )
    const request = requestOf(podOf(imagesOf(12_000, `${'a'.repeat(60)}.docker.io`)))
    const rows = [{ ...hubRow, images: ['*.docker.io/**'], otherwise: 'first' as const }]
    const admission = await admit(request, { rows })
    log({ request, admission, milliseconds: 1 })
    const { images = '', omitted } = admission.verdict.auditAnnotations

    const { length } = JSON.parse(images) as unknown[]
    const line = JSON.parse(lines[0] ?? '') as { images: unknown[]; omitted: number }
    expect(images.length).toBeLessThanOrEqual(32 * 1024)
    expect(length + Number(omitted)).toBe(256)
    expect(readRecords(admission.after).size).toBe(256)
    expect(lines[0]?.length).toBeLessThan(24 * 1024)
    expect(line.images.length + line.omitted).toBe(12_000)
  })

  it('is recorded in shadow mode, and changes nothing', async () => {
    const { verdict } = await admit(requestOf(podOf([...imagesOf(1_000), 'quay.io/team/last:1'])), {
      rows: [hubRow, { ...quayRow, otherwise: 'deny' }],
      observeOnly: true,
    })

    expect([verdict.patch, verdict.denied]).toEqual([[], null])
    expect(verdict.warnings[0]).toContain('would be denied: quay.io/team/last:1: row quay')
  })
})

describe('a pod with more containers than an API server can store', () => {
  it.each([
    ['one image', () => 'quay.io/team/app:1'],
    ['different images', (index: number) => `quay.io/team/app${index}:1`],
  ])('is denied if they change: %s', async (_, image) => {
    const images = Array.from({ length: 20_000 }, (__, index) => image(index))
    const { verdict } = await admit(requestOf(podOf(images)), {
      rows: [{ ...quayRow, otherwise: 'first' }],
    })

    expect(verdict.denied).toContain('more than 16384 image fields would change')
    expect(verdict.patch.length).toBeLessThan(10)
  })

  it('is admitted if none of them changes', async () => {
    const { verdict } = await admit(requestOf(podOf(imagesOf(200_000, 'other.example'))))

    expect([verdict.denied, verdict.patch]).toEqual([null, []])
    expect(verdict.warnings).toHaveLength(1)
  })
})

describe('a pod with 12,000 containers of one image', () => {
  it('gets all of them rewritten, and records for 1,024', async () => {
    const { after, asked, verdict } = await admit(
      requestOf(podOf(Array.from({ length: 12_000 }, () => 'docker.io/team/app:1'))),
    )

    expect(asked).toEqual(['m.example/team/app:1'])
    expect(new Set(imagesIn(after))).toEqual(new Set(['m.example/team/app:1']))
    expect(readRecords(after).size).toBeLessThanOrEqual(1_024)
    expect(verdict.warnings[0]).toContain('10976 fields not probed')
  })

  it('does not change when it is admitted a second time', async () => {
    const once = await admit(
      requestOf(podOf(Array.from({ length: 2_000 }, () => 'docker.io/team/app:1'))),
    )
    const twice = await admit(requestOf(once.after))

    expect(twice.verdict.patch.filter(({ path }) => path.startsWith('/spec'))).toEqual([])
  })
})

describe('the images of a large pod', () => {
  it('are found in init containers, debug containers and volumes, beyond the limit too', async () => {
    const rows = [hubRow, { ...quayRow, otherwise: 'deny' as const }]
    const bad = 'quay.io/team/bad:1'
    const containers = podOf(imagesOf(400))
    const old = requestOf(podOf(imagesOf(400)))
    const denials = await Promise.all(
      [
        requestOf(podOf(imagesOf(400), { initContainers: [{ name: 'i', image: bad }] })),
        requestOf(podOf(imagesOf(400), { volumes: [{ name: 'v', image: { reference: bad } }] })),
        requestOf(podOf(imagesOf(400), { ephemeralContainers: [{ name: 'e', image: bad }] }), {
          operation: 'UPDATE',
          subResource: 'ephemeralcontainers',
          oldObject: containers,
        }),
        requestOf(podOf([...imagesOf(400, 'docker.io/new'), bad]), {
          operation: 'UPDATE',
          oldObject: old.object,
        }),
      ].map((request) => admit(request, { rows, registries: registriesOf({}) })),
    )

    for (const { verdict } of denials) expect(verdict.denied).toContain(`${bad}: row quay`)
  })

  it('are decided as requested, whatever a forged annotation says about them', async () => {
    const images = imagesOf(2_000, 'quay.io')
    const records = images.map((image, index) => ({
      site: `containers/c${index}`,
      from: '!!',
      to: image,
      row: null,
      why: '',
    }))
    const pod = {
      ...podOf(images),
      metadata: { annotations: { 'berth.dev/images': JSON.stringify(records) } },
    }
    const { asked } = await admit(requestOf(pod))

    expect(asked).toHaveLength(256)
  })
})

describe('a message about many denied images', () => {
  it('names five, and how many more there are', async () => {
    const { verdict } = await admit(requestOf(podOf(imagesOf(200, 'quay.io'))), {
      rows: [{ ...quayRow, otherwise: 'deny' }],
      registries: registriesOf({ 'm.example': failed('absent', '404') }),
    })

    expect(verdict.denied).toContain('; 195 more image fields; copy the image to a mirror')
    expect(verdict.denied?.length).toBeLessThan(2_000)
  })
})

describe('a name of a megabyte', () => {
  it('is cut wherever Berth shows it', async () => {
    const lines: string[] = []
    const log = createAdmissionLog(
      createLogs('info', { write: (line: string) => lines.push(line) }).admissions,
    )
    const name = 'n'.repeat(1_000_000)
    const request = requestOf({
      metadata: { name },
      spec: { containers: [{ name, image: name }] },
    })
    const admission = await admit(request)
    log({ request, admission, milliseconds: 1 })
    const { response } = JSON.parse(writeReview('u', admission.verdict)) as {
      response: { warnings: readonly string[] }
    }

    expect(response.warnings).toEqual([expect.stringContaining('... (1000000 characters)')])
    expect(lines[0]?.length).toBeLessThan(2_000)
  })
})
