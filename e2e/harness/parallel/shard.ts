/** One of several clusters that run scenario files at the same time, as a process in a separate network namespace. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runDirectory } from '../cluster.ts'
import { auditLogOf } from '../api-server-config.ts'

export type Shard = {
  number: number
  /** False after its process has exited. */
  isRunning(): boolean
  /** Runs a scenario file, and prints its output. `isPassed` is false if a test failed or the process has exited. */
  run(file: string): Promise<FileResult & { output: string }>
  /** Stops the cluster and prints the rest of the output. */
  stop(): Promise<void>
}

/** What the process of a shard reports after each file. */
export type FileResult = { isPassed: boolean }

const program = fileURLToPath(new URL('shard-process.ts', import.meta.url))

/** `number` is one of `numbers`, which are those of all shards. */
export function startShard(number: number, numbers: readonly number[]): Shard {
  const runDir = directoryOf(number)
  const logFile = `${runDir}.log`
  mkdirSync(dirname(logFile), { recursive: true })
  const output = openSync(logFile, 'w')
  const inNamespace = ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
  const child = spawn('unshare', [...inNamespace, process.execPath, program], {
    stdio: ['ignore', output, output, 'ipc'],
    env: {
      ...process.env,
      BERTH_E2E_DIR: runDir,
      BERTH_E2E_SHARD: `${number}`,
      BERTH_E2E_AUDIT_LOGS: numbers.map((each) => auditLogOf(directoryOf(each))).join(':'),
    },
  })
  closeSync(output)
  const exited = once(child, 'exit')
  let printed = 0
  // The process writes to a file, so that all output of a test file is there when the process reports its result.
  const print = () => {
    const text = readFileSync(logFile)
    const added = text.subarray(printed)
    process.stdout.write(added)
    printed = text.length
    return added.toString()
  }
  return {
    number,
    isRunning: () => child.connected,
    async run(file) {
      child.send(file)
      const result = once(child, 'message') as Promise<[FileResult]>
      const [message] = await Promise.race([result, exited])
      const output = print()
      const isPassed = typeof message === 'object' && message !== null && message.isPassed
      return { isPassed, output }
    },
    async stop() {
      if (child.connected) child.disconnect()
      await exited
      print()
      rmSync(logFile)
    },
  }
}

function directoryOf(number: number): string {
  return join(`${runDirectory()}-${number}`)
}
