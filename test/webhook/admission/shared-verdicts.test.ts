import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLane } from '../../../src/async/lane.ts'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import { createDecideByRow } from '../../../src/decision/resolve/decide-by-row.ts'
import { createAdmissionLog } from '../../../src/webhook/admission/admission-log.ts'
import type { AdmissionRequest } from '../../../src/webhook/admission/admission-review.ts'
import { writeReview } from '../../../src/webhook/admission/admission-response.ts'
import { createAdmit } from '../../../src/webhook/admission/admit.ts'
import { noNamespaceLookup } from '../../../src/webhook/admission/namespace-lookup.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import { found, registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'
import { tableOf } from '../../support/tables.ts'

const policy = {
  table: tableOf(
    ['anubis:32000'],
    [
      {
        name: 'hub',
        images: ['docker.io/**'],
        try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'],
      },
      { name: 'own', images: ['ghcr.io/**'], try: ['anubis:32000/{namespace}/{path}'] },
    ],
  ),
  pin: { matches: () => false, unresolved: 'keep' as const },
  pullPolicy: [],
  pullSecrets: [],
  mode: 'enforce' as const,
}

const expires = 1_000

/** Decides with answers that expire when `clock` reaches `expires`. */
function createDecider(clock = { now: 0 }) {
  const registries = registriesOf({ 'anubis:32000': { ...found(), freshUntil: expires } })
  const dependencies = { ...registries.dependencies, now: () => clock.now }
  return {
    policy,
    decide: createDecide(dependencies, policy),
    decideByRow: createDecideByRow(dependencies, policy),
    hasDenial: false,
  }
}

function admitWith(engine: ReturnType<typeof createDecider>) {
  return createAdmit({
    currentEngine: () => engine,
    namespaceLookup: noNamespaceLookup,
    lane: createLane(),
    onBug: (error) => {
      throw error
    },
  })
}

const { signal } = new AbortController()
const options = { signal: () => signal, observeOnly: false }

const oneOf = fc.constantFrom
const container = fc.record(
  {
    name: oneOf('a', 'b'),
    image: oneOf('nginx:1', 'redis:2', 'ghcr.io/x/y:1', 'ghcr.io/x/y:1@sha256:0', 'UPPER', ''),
    imagePullPolicy: oneOf('Always', 'Never'),
  },
  { requiredKeys: ['image'] },
)
const pods = fc.record({
  namespace: oneOf('one', 'two'),
  observeOnly: fc.boolean(),
  object: fc.record(
    {
      metadata: fc.record(
        {
          name: oneOf('p', 'q'),
          labels: oneOf({}, { 'berth.dev/rewrite': 'disabled' }),
          annotations: oneOf<unknown>({}, { a: 'b' }, { 'berth.dev/images': '[]' }, 'text', {
            large: 'x'.repeat(250_000),
          }),
        },
        { requiredKeys: [] },
      ),
      spec: fc.record(
        {
          containers: fc.array(container, { maxLength: 3 }),
          initContainers: fc.array(container, { maxLength: 1 }),
        },
        { requiredKeys: ['containers'] },
      ),
    },
    { requiredKeys: ['spec'] },
  ),
})

/** Returns the response and the log line of a review. */
async function textsOf(
  admit: ReturnType<typeof admitWith>,
  request: AdmissionRequest,
  observeOnly: boolean,
): Promise<unknown[]> {
  const lines: string[] = []
  const logs = createLogs('info', { write: (line: string) => void lines.push(line) })
  const admission = await admit(request, { ...options, observeOnly })
  createAdmissionLog(logs.admissions)({ request, admission, milliseconds: 1 })
  return [
    writeReview('u', admission.verdict),
    lines.map((line) => line.replace(/"time":"[^"]*"/, '')),
  ]
}

describe('a pod of a workload', () => {
  it('gets the response and the log line that it would get alone', async () => {
    const engine = createDecider()
    const shared = admitWith(engine)
    await fc.assert(
      fc.asyncProperty(pods, async ({ namespace, object, observeOnly }) => {
        const request = { ...requestOf(object), namespace }
        const alone = await textsOf(admitWith(engine), request, observeOnly)
        for (let time = 0; time < 2; time++)
          expect(await textsOf(shared, request, observeOnly)).toEqual(alone)
      }),
      { numRuns: 300 },
    )
  })

  it('shares its verdict with the next one, until an image is decided again', async () => {
    const clock = { now: 0 }
    const admit = admitWith(createDecider(clock))
    const request = requestOf(podOf(['nginx:1']))
    const verdictOf = async () => (await admit(request, options)).verdict
    const [first, second] = [await verdictOf(), await verdictOf()]
    clock.now = expires
    const third = await verdictOf()

    expect(second).toBe(first)
    expect(third).not.toBe(first)
  })
})
