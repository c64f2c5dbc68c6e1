/** Starts the controller as the image does, against an API server in this process, and reads its memory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ScriptedApiServer } from '../../test/support/scripted-api-server.ts'
import { bundle, programs } from '../../tools/bundle.ts'
import { repository } from './workspace.ts'

/** Half of the memory limit in deploy/base, as the entry point of the image sets it. */
const nodeOptions = ['--max-old-space-size=192', '--max-semi-space-size=4']

export interface BenchController {
  readonly process: ChildProcess
  /** Resolves with a line of the log that has this text, also an earlier one. Rejects if the controller ends. */
  line(text: string): Promise<string>
  /** Bytes. */
  memory(field: 'VmRSS' | 'VmHWM'): number
  stop(): void
}

/** `withConsole`: serves the console, on a free port. */
export async function startBenchController(
  { url, ca }: ScriptedApiServer,
  { config, withConsole = false }: { readonly config: string; readonly withConsole?: boolean },
): Promise<BenchController> {
  const directory = mkdtempSync(join(tmpdir(), 'berth-bench-'))
  writeFileSync(join(directory, 'berth.yaml'), config)
  writeFileSync(join(directory, 'token'), 'token')
  writeFileSync(join(directory, 'ca.crt'), ca ?? '')
  writeFileSync(join(directory, 'namespace'), 'home')
  const { hostname, port } = new URL(url)
  const program = await buildController(directory)
  const args = [...nodeOptions, program, directory, ...(withConsole ? ['--console'] : [])]
  const controller = spawn(process.execPath, args, {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { HOME: directory, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
  })
  const lines: string[] = []
  createInterface({ input: controller.stderr }).on('line', (line) => lines.push(line))
  return {
    process: controller,
    async line(text) {
      for (;;) {
        const found = lines.find((line) => line.includes(text))
        if (found !== undefined) return found
        if (controller.exitCode !== null)
          throw new Error(`the controller ended:\n${lines.join('\n')}`)
        await sleep(50)
      }
    },
    memory(field) {
      const text = readFileSync(`/proc/${controller.pid}/status`, 'utf8')
      return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) * 1_024
    },
    stop() {
      controller.kill()
      rmSync(directory, { recursive: true })
    },
  }
}

/** Builds the program as the image contains it. */
async function buildController(directory: string): Promise<string> {
  const out = join(directory, 'dist')
  // With the worker that parses the config.
  await bundle(repository, { ...programs, controller: 'bench/lib/controller-process.ts' }, out)
  for (const name of ['webhook-config', 'package.json'])
    symlinkSync(join(repository, name), join(directory, name))
  return join(out, 'controller.cjs')
}
