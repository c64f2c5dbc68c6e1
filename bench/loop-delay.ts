/** Measures the delay of Berth's event loop under more connections than API servers open. Timers and probes wait this long. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serverCore } from './lib/machine.ts'
import { figure, megabytes } from './lib/numbers.ts'
import { startPinned } from './lib/process.ts'
import { startRegistry } from './lib/registry.ts'
import { printTable, progress } from './lib/report.ts'
import { benchReviews } from './lib/reviews.ts'
import { runLoad } from './lib/run-load.ts'
import { berthServer } from './lib/servers.ts'
import { waitUntilAnswered } from './lib/wait-until-answered.ts'
import type { Workspace } from './lib/workspace.ts'

/** Three API servers with 200 concurrent mutating requests each, the default. */
const connections = 600

/** Also lets the server find the images of the review: 600 first reviews at the same time are not what this measures. */
const warmUp = { connections: 8, warmMs: 0, measureMs: 2_000 }

const probe = fileURLToPath(new URL('lib/loop-delay-probe.ts', import.meta.url))

export async function benchLoopDelay(workspace: Workspace, measureMs: number): Promise<void> {
  const registry = await startRegistry()
  const rows: string[][] = []
  try {
    for (const review of benchReviews()) {
      progress(`event loop: ${review.name}`)
      const server = await berthServer(workspace, registry.url, ['--import', probe])
      const process = startPinned(server.program, serverCore)
      try {
        await waitUntilAnswered(workspace, { ...server, process })
        const { port } = server
        const { pid } = process
        const target = { port, pid, images: review.images }
        await runLoad(workspace, review, { ...target, ...warmUp })
        const load = { ...target, connections, warmMs: 3_000, measureMs }
        const { maxResidentBytes, refused } = await runLoad(workspace, review, load)
        rows.push([review.name, megabytes(maxResidentBytes), String(refused)])
      } finally {
        await process.stop()
      }
      const file = readFileSync(join(workspace.directory, 'loop-delay.json'), 'utf8')
      const { p50, p99, max } = JSON.parse(file) as { p50: number; p99: number; max: number }
      rows.at(-1)?.splice(1, 0, figure(p50), figure(p99), figure(max))
    }
  } finally {
    await registry.close()
  }
  printTable([`${connections} connections`, 'p50 ms', 'p99 ms', 'most ms', 'RSS', 'refused'], rows)
}
