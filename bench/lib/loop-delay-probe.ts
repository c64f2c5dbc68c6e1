/** Loaded into a server with `--import`: how late its event loop was, written beside its config file when it ends. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const file = process.argv[process.argv.indexOf('--config') + 1] ?? '.'
const delay = monitorEventLoopDelay({ resolution: 1 })

// Starting is over by then: what is of interest is the load.
setTimeout(() => delay.enable(), 2_000).unref()
process.on('exit', () => {
  const [p50, p99] = [50, 99].map((percent) => delay.percentile(percent) / 1e6)
  writeFileSync(
    join(file, '..', 'loop-delay.json'),
    JSON.stringify({ p50, p99, max: delay.max / 1e6 }),
  )
})
