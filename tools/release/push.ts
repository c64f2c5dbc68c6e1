/** Pushes the images of a layout with `berth mirror`, which uses your docker login, and verifies what the registry serves. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { stringify } from 'yaml'
import { run } from '../../src/cli/run.ts'

export interface PushOptions {
  /** The directory of the OCI layout. */
  readonly layout: string
  /** The images in the layout; each is pushed under its own name. */
  readonly names: readonly string[]
  /** Where the registry really is; null for its own name. */
  readonly endpoint: string | null
}

/** Throws if the registry refuses an image. */
export async function pushLayout({ layout, names, endpoint }: PushOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'berth-push-'))
  const config = join(directory, 'berth.yaml')
  try {
    const hosts = [...new Set(names.map((name) => name.split('/')[0] ?? ''))]
    const registries = hosts.map((host) => ({ host, mirror: true, ...(endpoint && { endpoint }) }))
    writeFileSync(
      config,
      stringify({ apiVersion: 'berth.dev/v1alpha1', kind: 'BerthConfig', registries }),
    )
    for (const name of names) {
      const args = ['mirror', name, name, '--from', `oci:${layout}`, '--config', config]
      await runBerth(args)
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function runBerth(args: readonly string[]): Promise<void> {
  let output = ''
  const stream = () =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        output += chunk.toString()
        done()
      },
    })
  const code = await run(args, {
    stdout: stream(),
    stderr: stream(),
    stdin: Readable.from([]),
    env: process.env,
    signal: new AbortController().signal,
  })
  if (code !== 0) throw new Error(`berth ${args.join(' ')} exited with ${code}:\n${output}`)
}
