/** argv to command to exit code: the only file that touches the process's arguments, signals and exit. */
import { run } from './cli/run.ts'

const stop = new AbortController()
const hurry = new AbortController()
let isListening = false

// A reader that closes the pipe early, as `head` does, has read all that it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  // Until a command asks for it, a signal does what it does to any process.
  get signal() {
    listen()
    return stop.signal
  },
  forceStop: hurry.signal,
})

function listen(): void {
  if (isListening) return
  isListening = true
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (stop.signal.aborted ? hurry : stop).abort(signal))
  }
}
