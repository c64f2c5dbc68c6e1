/** Benchmarks a decision as the table grows, and a review as its images grow; without HTTP, with cached probe results. */
import { createLane } from '../src/async/lane.ts'
import { noNamespaceLookup } from '../src/webhook/admission/namespace-lookup.ts'
import { createAdmit } from '../src/webhook/admission/admit.ts'
import { readReview } from '../src/webhook/admission/admission-review.ts'
import { createEngine, type Engine } from '../src/engine/decision-engine.ts'
import { parseReference } from '../src/decision/reference/parse.ts'
import type { Reference } from '../src/decision/reference/reference.ts'
import { resolve } from '../src/decision/resolve/resolve.ts'
import { createNoiseGate } from './lib/noise-gate.ts'
import { figure, median } from './lib/numbers.ts'
import type { BenchOutcome, Comparison } from './lib/outcome.ts'
import { type BenchRegistry, startRegistry } from './lib/registry.ts'
import { print, printTable, progress } from './lib/report.ts'
import { ratioText } from './lib/results.ts'
import { makeReview } from './lib/reviews.ts'
import {
  affixRows,
  conditionalRows,
  configWith,
  ordinaryRows,
  type RowShape,
  spreadImages,
  wildcardRows,
} from './lib/tables.ts'
import { timeInTurns, type Timed, type TimingOptions } from './lib/timing.ts'
import { benchBulk } from './table-bulk.ts'
import { benchScale } from './table-scale.ts'

const rowCounts = [10, 100, 1_000, 10_000]
const [fewest, most] = [rowCounts[0] ?? 0, rowCounts.at(-1) ?? 0]
const ways = ['made', 'looked up'] as const
const imageCounts = [1, 10, 100]

/** Different images, decided in turn, so that the result does not depend on one row. */
const spread = 10

export async function benchTable(isShort: boolean): Promise<BenchOutcome> {
  const gate = createNoiseGate()
  const timing = isShort ? { rounds: 5, sliceMs: 60, gate } : { rounds: 9, sliceMs: 200, gate }
  const comparisons: Comparison[] = []
  const registry = await startRegistry()
  try {
    print('## One decision, as the table grows\n')
    for (const shape of [ordinaryRows, wildcardRows, affixRows, conditionalRows])
      comparisons.push(...(await decisions(shape, registry, timing)))
    print('## One review, as its images grow\n')
    await reviews(registry, timing)
    print('## 10,000 rows × 100,000 images\n')
    await benchBulk(isShort)
    print('## Ten times the rows, ten times the images\n')
    benchScale(isShort)
    return { noise: gate.counts(), comparisons }
  } finally {
    await registry.close()
  }
}

/** Two paths to a decision: from cached probe results, as after thirty seconds, and from the decision cache, as in between. */
async function decisions(
  shape: RowShape,
  registry: BenchRegistry,
  timing: TimingOptions,
): Promise<readonly Comparison[]> {
  progress(`decisions: ${shape.name}`)
  const engines: Engine[] = []
  const subjects = rowCounts.flatMap((rows): Timed[] => {
    const config = configWith(shape, rows, registry.url)
    const engine = createEngine(config, engineOptions)
    engines.push(engine)
    const images = spreadImages(shape, rows, spread)
    const references = images.map(({ image, pod }) => ({ reference: parsed(image), pod }))
    const { signal } = new AbortController()
    const made = async () => {
      for (const { reference, pod } of references) {
        const request = { reference, pod: pod(), signal }
        const { reason } = await resolve(engine.resolve, config, request)
        if (reason !== 'found') throw new Error(`${reference.path}: ${reason}, not found`)
      }
    }
    const lookedUp = async () => {
      for (const { image, pod } of images) {
        const decision = engine.decide(image, { pod: pod(), signal: () => signal })
        const { ok } = decision instanceof Promise ? await decision : decision
        if (!ok) throw new Error(`no decision for ${image}`)
      }
    }
    return [
      { name: `made ${rows}`, per: spread, run: made },
      { name: `looked up ${rows}`, per: spread, run: lookedUp },
    ]
  })
  const micros = await timeInTurns(subjects, timing)
  await Promise.all(engines.map((engine) => engine.close()))
  printTable(
    [`rows: ${shape.name}`, 'µs to make one', '× 10 rows', 'µs to look one up', '× 10 rows'],
    rowCounts.map((rows) => [
      rows.toLocaleString('en-US'),
      ...ways.flatMap((way) => [
        figure(median(micros(`${way} ${rows}`))),
        ratioText(micros(`${way} ${rows}`), micros(`${way} ${fewest}`)),
      ]),
    ]),
  )
  return ways.map((way) => ({
    name: `decision ${way} with ${most} rows (${shape.name}), µs`,
    baseline: `${fewest} rows`,
    better: 'less',
    values: micros(`${way} ${most}`),
    baselineValues: micros(`${way} ${fewest}`),
  }))
}

async function reviews(registry: BenchRegistry, timing: TimingOptions): Promise<void> {
  progress('reviews')
  const config = configWith(hubRows, hubHosts.length, registry.url)
  const engine = createEngine(config, engineOptions)
  const admit = createAdmit({
    currentEngine: () => engine,
    namespaceLookup: noNamespaceLookup,
    lane: createLane(),
    onBug: (error) => {
      throw error
    },
  })
  const subjects = imageCounts.map((images): Timed => {
    const read = readReview(makeReview('', images, 0).body)
    if (!read.ok) throw new Error(read.message)
    const { signal } = new AbortController()
    return {
      name: String(images),
      per: 1,
      run: async () => {
        const admission = admit(read.request, { signal: () => signal, observeOnly: false })
        const { verdict } = admission instanceof Promise ? await admission : admission
        if (verdict.patch.length <= images) throw new Error('not every image was rewritten')
      },
    }
  })
  const micros = await timeInTurns(subjects, timing)
  await engine.close()
  printTable(
    ['images', 'µs a review', '× 1 image', 'µs an image', '× 1 image'],
    imageCounts.map((images) => {
      const perReview = micros(String(images))
      const perImage = perReview.map((value) => value / images)
      return [
        String(images),
        figure(median(perReview)),
        ratioText(perReview, micros('1')),
        figure(median(perImage)),
        ratioText(perImage, micros('1')),
      ]
    }),
  )
}

const hubHosts = ['docker.io', 'ghcr.io', 'quay.io']

/** The table of the admission benchmark: one row for each upstream of the reviews. */
const hubRows: RowShape = {
  name: 'upstreams',
  pattern: (row) => `${hubHosts[row]}/**`,
  image: (row) => `${hubHosts[row]}/team/app`,
}

/** The registries of these tables need no credentials. */
const engineOptions = { secretsDirectory: '/nonexistent' }

function parsed(image: string): Reference {
  const result = parseReference(image)
  if (result.ok) return result.reference
  throw new Error(`${image}: ${result.message}`)
}
