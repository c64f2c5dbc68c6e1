/** Loaded into a server with `--import`. When the server exits, writes the delay of its event loop next to its config file. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const file = process.argv[process.argv.indexOf('--config') + 1] ?? '.'
const delay = monitorEventLoopDelay({ resolution: 1 })

// Skips the start, because only the time under load matters.
setTimeout(() => delay.enable(), 2_000).unref()
process.on('exit', () => {
  const [p50, p99] = [50, 99].map((percent) => delay.percentile(percent) / 1e6)
  writeFileSync(
    join(file, '..', 'loop-delay.json'),
    JSON.stringify({ p50, p99, max: delay.max / 1e6 }),
  )
})
