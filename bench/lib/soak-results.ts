/** Writes the results of the soak test as CSV and as an SVG chart. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './workspace.ts'

export interface SoakSample {
  readonly seconds: number
  readonly answered: number
  readonly rewritten: number
  readonly errors: number
  readonly rewrites: number
  readonly asked: number
  readonly residentBytes: number
  readonly openFiles: number
}

const columns = [
  'seconds',
  'answered',
  'rewritten',
  'errors',
  'rewrites',
  'asked',
  'residentBytes',
  'openFiles',
] as const

/** Writes bench/results/soak.csv and soak.svg; returns their paths. */
export function writeSoakResults(samples: readonly SoakSample[]): string[] {
  const directory = join(repository, 'bench', 'results')
  mkdirSync(directory, { recursive: true })
  const lines = samples.map((sample) => columns.map((name) => Math.round(sample[name])).join(','))
  const csv = join(directory, 'soak.csv')
  const svg = join(directory, 'soak.svg')
  writeFileSync(csv, `${[columns.join(','), ...lines].join('\n')}\n`)
  writeFileSync(svg, drawing(samples))
  return [csv, svg]
}

const width = 640
const height = 140
const left = 60
const top = 24

/** Charts memory and open files over time. Both axes start at zero, so that noise does not look like growth. */
function drawing(samples: readonly SoakSample[]): string {
  const last = samples.at(-1)?.seconds ?? 1
  const memory = curve(samples, {
    at: 0,
    title: 'RSS, MB',
    of: (one) => one.residentBytes / 2 ** 20,
  })
  const files = curve(samples, {
    at: height + 2 * top,
    title: 'open files',
    of: (one) => one.openFiles,
  })
  const total = 2 * (height + 2 * top)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 20} ${total}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
${memory}
${files}
<text x="${left + width}" y="${total - 6}" text-anchor="end">${Math.round(last)} s</text>
</svg>
`
}

interface Curve {
  /** The upper edge, in pixels from the top. */
  readonly at: number
  readonly title: string
  readonly of: (sample: SoakSample) => number
}

function curve(samples: readonly SoakSample[], { at, title, of }: Curve): string {
  const last = samples.at(-1)?.seconds ?? 1
  const most = Math.max(...samples.map(of), 1)
  const bottom = at + top + height
  const points = samples.map((sample) => {
    const x = left + (sample.seconds / last) * width
    const y = bottom - (of(sample) / most) * height
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  return `<text x="${left}" y="${at + top - 8}">${title}</text>
<text x="${left - 6}" y="${at + top + 4}" text-anchor="end">${Math.round(most)}</text>
<text x="${left - 6}" y="${bottom}" text-anchor="end">0</text>
<path d="M${left} ${at + top}V${bottom}H${left + width}" fill="none" stroke="#999"/>
<polyline points="${points.join(' ')}" fill="none" stroke="#06c" stroke-width="1.5"/>`
}
