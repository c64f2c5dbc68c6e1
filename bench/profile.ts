/**
 * Records a CPU profile of the built process under load, and prints the most expensive functions.
 *
 *   node bench/profile.ts [0 | 1 | 2 | 3]   one image, 8 KB (the default), 8 KB and many controllers, or 200 KB
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readProfile, type Weight } from './lib/cpu-profile.ts'
import { serverCore } from './lib/machine.ts'
import { startPinned } from './lib/process.ts'
import { startRegistry } from './lib/registry.ts'
import { print, printTable } from './lib/report.ts'
import { benchReviews } from './lib/reviews.ts'
import { runLoad } from './lib/run-load.ts'
import { berthServer } from './lib/servers.ts'
import { waitUntilAnswered } from './lib/wait-until-answered.ts'
import { makeWorkspace } from './lib/workspace.ts'

const connections = 64
const measureMs = 8_000
const shown = 60

const review = benchReviews()[Number(process.argv[2] ?? 1)]
if (review === undefined) throw new Error('unknown review; use 0, 1, 2 or 3')

const workspace = await makeWorkspace()
const registry = await startRegistry()
try {
  const out = join(workspace.directory, 'profile')
  mkdirSync(out)
  const flags = ['--cpu-prof', `--cpu-prof-dir=${out}`, '--cpu-prof-interval=500']
  const berth = await berthServer(workspace, registry.url, flags)
  const started = startPinned(berth.program, serverCore)
  try {
    await waitUntilAnswered(workspace, { ...berth, process: started })
    const { port } = berth
    const { pid } = started
    const { images } = review
    const load = { port, pid, images, connections, warmMs: 500, measureMs }
    const { perSecond } = await runLoad(workspace, review, load)
    print(`${review.name}, ${connections} connections: ${Math.round(perSecond)} reviews/s\n`)
  } finally {
    await started.stop()
  }
  const [file = ''] = readdirSync(out)
  const { self, total } = readProfile(readFileSync(join(out, file), 'utf8'), workspace.directory)
  show('self time', self)
  show('total time, with everything called', total)
} finally {
  await registry.close()
  workspace.remove()
}

function show(title: string, weights: readonly Weight[]): void {
  print(`## ${title}\n`)
  printTable(
    ['function', 'share'],
    weights.slice(0, shown).map(({ name, share }) => [name, `${(share * 100).toFixed(1)} %`]),
  )
}
