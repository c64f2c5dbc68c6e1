import { PassThrough, Readable, Writable } from 'node:stream'
import type { Io } from '../../src/cli/io.ts'
import { run } from '../../src/cli/run.ts'

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

class Collector extends Writable {
  text = ''
  readonly isTTY: boolean

  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

/** Runs a command line as main.ts does, without a process. */
export async function berth(
  argv: readonly string[],
  input = '',
  signal: AbortSignal = new AbortController().signal,
  isTTY = false,
): Promise<Outcome> {
  const [stdout, stderr] = [new Collector(isTTY), new Collector(isTTY)]
  const io: Io = { stdout, stderr, stdin: Readable.from([input]), env: {}, signal }
  const code = await run(argv, io)
  return { code, stdout: stdout.text, stderr: stderr.text }
}

/** A command that runs until it is stopped. */
export interface RunningCommand {
  /** What it has written so far. */
  readonly streams: { readonly out: string; readonly err: string }
  /** Resolves when the output matches; rejects if the command ends before. */
  readonly until: (stream: 'out' | 'err', pattern: RegExp) => Promise<void>
  /** Stops it as Ctrl-C does; returns its exit code. */
  readonly stop: () => Promise<number>
}

/** Starts a command line as main.ts does, without a process. */
export function startBerth(argv: readonly string[], isTTY = false): RunningCommand {
  const stop = new AbortController()
  const streams = { out: '', err: '' }
  let changed = () => {}
  const collect = (name: 'out' | 'err') =>
    Object.assign(new PassThrough(), { isTTY }).on('data', (chunk: Buffer) => {
      streams[name] += chunk.toString()
      changed()
    })
  const code = run(argv, {
    stdout: collect('out'),
    stderr: collect('err'),
    stdin: Readable.from(['']),
    env: {},
    signal: stop.signal,
  })
  return {
    streams,
    until: (stream, pattern) =>
      Promise.race([
        new Promise<void>((resolve) => {
          changed = () => pattern.test(streams[stream]) && resolve()
          changed()
        }),
        code.then((number) => Promise.reject(new Error(`ended with ${number}: ${streams.err}`))),
      ]),
    stop: () => {
      stop.abort('SIGINT')
      return code
    },
  }
}

/** A stream that counts as a terminal, so that output has colours. */
export function terminal(): Writable & { readonly isTTY: boolean } {
  return Object.assign(new PassThrough(), { isTTY: true })
}
