/** Starts the command line: the only file that uses the process's arguments, signals and exit code. */
import { run } from './cli/run.ts'

const stop = new AbortController()
const forceStop = new AbortController()
let isListening = false

/** EX_IOERR of sysexits.h: the disk is full, for example. */
const outputExitCode = 74

process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  // A reader such as `head` closes the pipe early; that is not a failure.
  if (code === 'EPIPE') process.exit(0)
  process.stderr.write(`berth: cannot write to standard output: ${message}\n`)
  process.exit(outputExitCode)
})
// Messages that cannot be written do not change the result. The log counts its lost lines itself.
process.stderr.on('error', () => undefined)

void start()

// The build writes CommonJS, in which a module cannot await.
async function start(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    // Node.js opens it, and loads its streams, when it is read first.
    get stdin() {
      return process.stdin
    },
    env: process.env,
    // The executable has its path in the first, and a script in the second.
    startedAs: [process.argv0, process.argv[1]],
    // Until a verb reads this property, a signal ends the process.
    get signal() {
      listen()
      return stop.signal
    },
    forceStop: forceStop.signal,
  })
}

function listen(): void {
  if (isListening) return
  isListening = true
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (stop.signal.aborted ? forceStop : stop).abort(signal))
  }
}
