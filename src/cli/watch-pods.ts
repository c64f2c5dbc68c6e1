/** Prints the output of a verb, once or again whenever pods change, for `--watch`. */
import { createHash } from 'node:crypto'
import { untilAborted } from '../async/abort.ts'
import { createNotifier } from '../async/notifier.ts'
import { sleep } from '../async/sleep.ts'
import { BerthError } from '../errors.ts'
import { member, objectsMember } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { startInformer } from '../kube/informer.ts'
import type { KubeObject } from '../kube/object.ts'
import { type Io, print, printMessage, signalExitCode } from './io.ts'
import { printRecord } from './output/print-record.ts'

/** What a verb found, before it is printed in one of the formats. */
export interface Output {
  readonly record: unknown
  readonly table: () => string
  readonly exitCode: number
}

export type OutputFormat = 'table' | 'json' | 'yaml'

/** Prints an output and returns its exit code. */
export function showOnce(output: Output, format: OutputFormat, io: Io): number {
  if (format === 'table') print(io.stdout, output.table())
  else printRecord(output.record, format, io)
  return output.exitCode
}

export interface WatchOptions {
  readonly api: KubeApi
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  readonly io: Io
  readonly format: OutputFormat
  /** Minimum milliseconds between two outputs, because pods change in bursts. Default: 2 s. */
  readonly minIntervalMs?: number
}

const defaultMinIntervalMs = 2_000

/** Milliseconds after which the output is repeated without a change of pods, because registries change too. */
const maxIntervalMs = 60_000

/** Moves the cursor to the top left, and erases the screen and what scrolled out of it (ECMA-48, CUP and ED). */
const clearScreen = '\u001B[H\u001B[2J\u001B[3J'

/**
 * Prints what `build` returns, and again after each change of pods that can change it, until the process is asked to stop.
 * Returns the exit code of the signal. Throws the first failure of `build`. A later failure to reach the cluster is printed,
 * and `build` is called again.
 */
export async function showWhilePodsChange(
  build: () => Promise<Output>,
  { api, namespace, io, format, minIntervalMs = defaultMinIntervalMs }: WatchOptions,
): Promise<number> {
  const changed = createNotifier()
  show(await build(), format, io)
  // Not read before: Ctrl-C ends the process while the first output is built.
  const { signal } = io
  startInformer<KubeObject, string>(api, {
    ref: { apiVersion: 'v1', resource: 'pods', ...(namespace === undefined ? {} : { namespace }) },
    transform: fingerprint,
    // The first list counts as a change, because pods may have changed since the first output.
    onChange: (_key, item, before) => {
      if (item !== before) changed.notify()
    },
    onError: (error, isRepeated) => {
      if (!isRepeated && error instanceof BerthError) printMessage(io, `${error.message}; retrying`)
    },
    signal,
  })
  for (;;) {
    await sleep(minIntervalMs, signal)
    await changed.wait(maxIntervalMs, signal)
    const output = signal.aborted ? null : await untilAborted(buildAgain(build, io), signal, null)
    const exitCode = signalExitCode(io)
    if (exitCode !== null) return exitCode
    if (output !== null) show(output, format, io)
  }
}

/** Returns null if the cluster could not be reached. */
async function buildAgain(build: () => Promise<Output>, io: Io): Promise<Output | null> {
  try {
    return await build()
  } catch (error) {
    const isFromCluster = error instanceof BerthError && error.code.startsWith('cluster-')
    if (!isFromCluster) throw error
    printMessage(io, `${error.message}; retrying`)
    return null
  }
}

/** Prints an output. On a terminal it replaces the last one. */
function show(output: Output, format: OutputFormat, io: Io): void {
  if (io.stdout.isTTY === true) io.stdout.write(clearScreen)
  // A separator of documents (YAML 1.2.2, section 9.1.2).
  else if (format === 'yaml') print(io.stdout, '---')
  showOnce(output, format, io)
  if (io.stdout.isTTY !== true && format === 'table') print(io.stdout, '')
}

/**
 * Returns a hash of what reports and diagnoses read of a pod, which is small for any pod. Conditions, probes and restarts
 * change far more often.
 */
function fingerprint(pod: KubeObject): string {
  const status = member(pod, 'status')
  const containers = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses']
  const read = [
    pod.metadata.uid,
    pod.metadata.deletionTimestamp !== undefined,
    member(status, 'phase'),
    containers.map((list) =>
      objectsMember(status, list).map(({ name, image, imageID, state }) => {
        const waiting = member(state, 'waiting')
        return [name, image, imageID, member(waiting, 'reason'), member(waiting, 'message')]
      }),
    ),
  ]
  return createHash('sha256').update(JSON.stringify(read)).digest('base64')
}
