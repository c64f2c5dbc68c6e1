/** `berth nodes apply`: the files on this machine, or the manifest that does it on every node. */
import { readFileSync } from 'node:fs'
import { BerthError } from '../../errors.ts'
import {
  applyFiles,
  type FileChange,
  leftModified,
  rollBack,
} from '../../nodes/apply/apply-files.ts'
import { readRendered } from '../../nodes/apply/rendered-json.ts'
import { daemonSet } from '../../nodes/apply/daemon-set.ts'
import { inspectLocalNode } from '../../nodes/detect/local-node.ts'
import type { NodeFiles } from '../../nodes/render.ts'
import { targets } from '../../nodes/targets/targets.ts'
import { oneOf, type Parsed, readOptions, text } from '../options.ts'
import { type Command, type Io, print } from '../io.ts'
import { targetOf } from './nodes-check.ts'
import { renderFrom, renderOptions } from './nodes-render.ts'

export const usage =
  'berth nodes apply [--target containerd|microk8s|k3s|rke2|crio] [--config FILE | --rendered FILE] [--target-version V] [--root DIR] [--air-gap] [--digest-only] [--allow-partial] [--dry-run] [--force] [--rollback] [--stay] [--manifest --image IMAGE [-n NAMESPACE]] [-o text|json]'

/** Exits with 1 when a file that another hand has changed was left alone. */
export const nodesApply: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      ...renderOptions,
      rendered: { type: 'string' },
      root: { type: 'string' },
      'dry-run': { type: 'boolean' },
      force: { type: 'boolean' },
      rollback: { type: 'boolean' },
      stay: { type: 'boolean' },
      manifest: { type: 'boolean' },
      image: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      output: { type: 'string', short: 'o' },
    },
    usage,
  )
  const output = oneOf(values, 'output', ['text', 'json'])
  if (values['manifest'] === true) return printManifest(values, io)
  const root = text(values, 'root') ?? '/'
  const options = { root, force: values['force'] === true, dryRun: values['dry-run'] === true }
  const { target, changes } =
    values['rollback'] === true ? rolledBack(values, options) : applied(values, options, io)
  report(changes, { target, output, dryRun: options.dryRun }, io)
  if (values['stay'] === true) await untilStopped(io.signal)
  return changes.some(({ what }) => what === leftModified) ? 1 : 0
}

type Target = NodeFiles['target']
type Options = Parameters<typeof applyFiles>[1]

function rolledBack(
  values: Parsed['values'],
  options: Options,
): { target: Target; changes: FileChange[] } {
  const target = targetOf(values, options.root)
  return { target, changes: rollBack(target, options) }
}

function applied(
  values: Parsed['values'],
  options: Options,
  io: Io,
): { target: Target; changes: FileChange[] } {
  const file = text(values, 'rendered')
  const rendered =
    file === undefined
      ? renderFrom({ ...values, target: targetOf(values, options.root) }, io)
      : readRendered(readText(file), file)
  const changes = applyFiles(rendered, options)
  // In a pod only the files' own directory is seen, so nothing can be said there.
  if (file === undefined) {
    const { findings } = inspectLocalNode(options.root, targetOf(values, options.root))
    for (const finding of findings) print(io.stderr, `berth: ${finding}`)
  }
  return { target: rendered.target, changes }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError('usage', `--rendered ${file} cannot be read: ${code}`, { cause })
  }
}

interface Reported {
  readonly target: Target
  readonly output: 'text' | 'json'
  readonly dryRun: boolean
}

function report(
  changes: readonly FileChange[],
  { target, output, dryRun }: Reported,
  io: Io,
): void {
  const isChange = changes.some(({ what }) => what !== 'unchanged')
  const { restart } = targets[target]
  const node = io.env['NODE_NAME']
  if (output === 'json')
    print(
      io.stdout,
      JSON.stringify({
        ...(node !== undefined && { node }),
        target,
        dryRun,
        changes,
        restart: isChange ? restart : 'no restart: nothing has changed',
      }),
    )
  else for (const { file, what } of changes) print(io.stdout, `${what}  ${file}`)
  if (output === 'text' && isChange)
    print(io.stderr, `berth: ${dryRun ? 'a dry run; ' : ''}${restart}`)
}

function printManifest(values: Parsed['values'], io: Io): number {
  const image = text(values, 'image')
  if (image === undefined)
    throw new BerthError(
      'usage',
      `--manifest needs --image, whose entry point is berth\nusage: ${usage}`,
    )
  const rendered = renderFrom(values, io)
  if (!['containerd', 'microk8s', 'k3s', 'rke2'].includes(rendered.target))
    throw new BerthError(
      'usage',
      `--manifest is for containerd, microk8s, k3s and rke2; ${rendered.target} has ways of its own`,
    )
  const namespace = text(values, 'namespace') ?? 'berth-system'
  print(io.stdout, daemonSet(rendered, { namespace, image, rollback: values['rollback'] === true }))
  print(io.stderr, `berth: ${rendered.restart}`)
  return 0
}

/** A signal alone keeps no process alive. */
async function untilStopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  // The longest interval that a timer takes (HTML, "timers"): 2³¹ − 1 ms.
  const alive = setInterval(() => undefined, 2 ** 31 - 1)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearInterval(alive)
}
