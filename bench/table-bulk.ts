/** Benchmarks many images and a long table (parse, match, candidates), compared with a plain loop over minimatch. */
import { Minimatch } from 'minimatch'
import { podInNamespace } from '../src/decision/fallback/pod-context.ts'
import { selectCandidates } from '../src/decision/fallback/table.ts'
import { parseReference } from '../src/decision/reference/parse.ts'
import { canonicalReference } from '../src/decision/fallback/registry-aliases.ts'
import { repositoryName } from '../src/decision/reference/reference.ts'
import { figure, median, ratio } from './lib/numbers.ts'
import { printTable, progress } from './lib/report.ts'
import { configWith, ordinaryRows, patternsOf } from './lib/tables.ts'

const pod = podInNamespace('team')

const rows = 10_000
const images = 100_000

/** The plain loop would take minutes for 100,000 images, so it gets this many, and its time is scaled up. */
const loopImages = 200

/** Every tenth image matches no row, so that the plain loop compares it with all rows. */
const strangerEvery = 10

export async function benchBulk(isShort: boolean): Promise<void> {
  progress('bulk')
  const started = performance.now()
  const { table } = configWith(ordinaryRows, rows, 'http://127.0.0.1:1')
  const loadMs = performance.now() - started
  const matchers = patternsOf(ordinaryRows, rows).map((pattern) => new Minimatch(pattern))
  const names = Array.from({ length: images }, (_, index) => imageAt(index))
  const sample = Array.from({ length: loopImages }, (_, index) =>
    imageAt(Math.floor((index * images) / loopImages) + (index % strangerEvery)),
  )
  const berth = () => names.reduce((sum, name) => sum + candidatesOf(name), 0)
  const loop = () => sample.reduce((sum, name) => sum + matchesOf(name), 0)
  const times = { berth: [] as number[], loop: [] as number[] }
  for (let round = 0; round < (isShort ? 2 : 5); round++) {
    times.berth.push(time(berth, images - images / strangerEvery))
    times.loop.push((time(loop, loopImages - loopImages / strangerEvery) * images) / loopImages)
  }
  const [mine, plain] = [median(times.berth), median(times.loop)]
  printTable(
    ['', 'ms', 'µs an image', 'plain loop ÷ this'],
    [
      ['Berth: parse, match, candidates', figure(mine), perImage(mine), ratio(plain, mine)],
      [
        `plain loop over minimatch (${loopImages} images, scaled)`,
        figure(plain),
        perImage(plain),
        ratio(plain, plain),
      ],
      [`reading the config of ${rows.toLocaleString('en-US')} rows, once`, figure(loadMs), '', ''],
    ],
  )

  function candidatesOf(name: string): number {
    const parsed = parseReference(name)
    return parsed.ok ? selectCandidates(table, parsed.reference, pod).candidates.length : 0
  }

  function matchesOf(name: string): number {
    const parsed = parseReference(name)
    if (!parsed.ok) return 0
    const canonical = repositoryName(canonicalReference(parsed.reference))
    return matchers.some((matcher) => matcher.match(canonical)) ? 1 : 0
  }
}

function imageAt(index: number): string {
  return index % strangerEvery === 0
    ? `stranger-${index}.example.org/team/app:1.${index}`
    : `${ordinaryRows.image(index % rows)}:1.${index}`
}

/** Throws if the two found different numbers of rows, because they did not do the same work then. */
function time(work: () => number, found: number): number {
  const started = performance.now()
  const sum = work()
  const elapsed = performance.now() - started
  if (sum !== found) throw new Error(`${sum} images matched, and ${found} should have`)
  return elapsed
}

function perImage(milliseconds: number): string {
  return figure((milliseconds * 1000) / images)
}
