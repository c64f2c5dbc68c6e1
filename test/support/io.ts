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

/** A stream that counts as a terminal, so that output has colours. */
export function terminal(): Writable & { readonly isTTY: boolean } {
  return Object.assign(new PassThrough(), { isTTY: true })
}
