/** Benchmarks whether the time per image stays the same with ten times the rows and images. Parse, match, candidates; no probe. */
import { podInNamespace } from '../src/decision/fallback/pod-context.ts'
import { selectCandidates } from '../src/decision/fallback/table.ts'
import { parseReference } from '../src/decision/reference/parse.ts'
import { figure, median, ratio } from './lib/numbers.ts'
import { printTable, progress } from './lib/report.ts'
import {
  affixRows,
  configWith,
  ordinaryRows,
  type RowShape,
  tailRows,
  wildcardRows,
} from './lib/tables.ts'

const pod = podInNamespace('team')

const sizes = [
  { rows: 1_000, images: 10_000 },
  { rows: 1_000, images: 100_000 },
  { rows: 10_000, images: 10_000 },
  { rows: 10_000, images: 100_000 },
]

export function benchScale(isShort: boolean): void {
  for (const shape of [ordinaryRows, wildcardRows, tailRows, affixRows]) {
    progress(`scale: ${shape.name}`)
    const subjects = sizes.map((size) => ({
      ...size,
      run: passOf(shape, size),
      times: [] as number[],
    }))
    for (let round = 0; round < (isShort ? 2 : 5); round++)
      for (const { run, times } of subjects) times.push(run())
    const perImage = subjects.map(({ times, images }) => (median(times) * 1000) / images)
    printTable(
      [`rows: ${shape.name}`, 'images', 'ms', 'µs an image', '× the first line'],
      subjects.map(({ rows, images, times }, index) => [
        rows.toLocaleString('en-US'),
        images.toLocaleString('en-US'),
        figure(median(times)),
        figure(perImage[index] ?? NaN),
        ratio(perImage[index] ?? NaN, perImage[0] ?? NaN),
      ]),
    )
  }
}

/** Each image has another tag, so that no image is cached. */
function passOf(shape: RowShape, { rows, images }: { rows: number; images: number }): () => number {
  const { table } = configWith(shape, rows, 'http://127.0.0.1:1')
  const names = Array.from(
    { length: images },
    (_, index) => `${shape.image(index % rows)}:1.${index}`,
  )
  return () => {
    const started = performance.now()
    let candidates = 0
    for (const name of names) {
      const parsed = parseReference(name)
      if (parsed.ok) candidates += selectCandidates(table, parsed.reference, pod).candidates.length
    }
    const elapsed = performance.now() - started
    if (candidates !== images) throw new Error(`${candidates} candidates for ${images} images`)
    return elapsed
  }
}
