/** Runs `berth nodes apply`: writes the registry files on this machine, or prints a DaemonSet that does so on every node. */
import { readFileSync } from 'node:fs'
import { aborted } from '../../async/abort.ts'
import { longestDelayMs } from '../../async/sleep.ts'
import { BerthError } from '../../errors.ts'
import {
  applyFiles,
  type FileChange,
  leftModified,
  rollBack,
} from '../../nodes/apply/apply-files.ts'
import { daemonSet } from '../../nodes/apply/daemon-set.ts'
import { readRendered } from '../../nodes/apply/rendered-json.ts'
import { inspectLocalNode } from '../../nodes/detect/local-node.ts'
import { type TargetName, targets } from '../../nodes/render/targets.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { type Io, print, printFile, printMessage } from '../io.ts'
import { localTarget, parseTargetVersion } from '../local-target.ts'
import type { LocalTarget, RenderOptions } from '../node-options.ts'
import { loadItemFormat } from '../output/item-format.ts'
import { renderFiles } from './nodes-render.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

export interface NodesApplyOptions extends RenderOptions {
  readonly target?: LocalTarget
  readonly rendered?: string
  readonly root: string
  readonly dryRun?: boolean
  readonly force?: boolean
  readonly rollback?: boolean
  readonly stay?: boolean
  readonly manifest?: boolean
  readonly image?: string
  readonly namespace: string
  readonly output: 'text' | 'json' | 'yaml'
}

interface AppliedFiles {
  readonly target: TargetName
  readonly changes: readonly FileChange[]
}

/** Returns 0; 1 if a file was left alone because someone else modified it. */
export async function nodesApply(options: NodesApplyOptions, io: Io): Promise<number> {
  if (options.manifest === true) {
    printManifest(options, io)
    return 0
  }
  const applied = options.rollback === true ? rollBackFiles(options) : writeFiles(options, io)
  await report(applied, options, io)
  if (options.stay === true) await waitForSignal(io.signal)
  return applied.changes.some(({ what }) => what === leftModified) ? 1 : 0
}

type ApplyOptions = Parameters<typeof applyFiles>[1]

function applyOptions({ root, force, dryRun }: NodesApplyOptions): ApplyOptions {
  return { root, force: force === true, dryRun: dryRun === true }
}

function rollBackFiles(options: NodesApplyOptions): AppliedFiles {
  const target = localTarget(options.target, options.root)
  return { target, changes: rollBack(target, applyOptions(options)) }
}

function writeFiles(options: NodesApplyOptions, io: Io): AppliedFiles {
  const { rendered: file, root } = options
  if (file !== undefined) {
    // In a pod only the directory of these files is mounted, so the rest of the runtime cannot be inspected.
    const rendered = readRendered(readText(file), file)
    return { target: rendered.target, changes: applyFiles(rendered, applyOptions(options)) }
  }
  const target = localTarget(options.target, root)
  const changes = applyFiles(renderFiles(target, options, io), applyOptions(options))
  const version = parseTargetVersion(options.targetVersion)
  for (const finding of inspectLocalNode(root, target, { version }).findings)
    printMessage(io, finding)
  return { target, changes }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const why = describeFileError(cause)
    throw new BerthError('usage', `--rendered ${file} cannot be read: ${why}`, { cause })
  }
}

async function report(
  { target, changes }: AppliedFiles,
  options: NodesApplyOptions,
  io: Io,
): Promise<void> {
  const isChanged = changes.some(({ what }) => what !== 'unchanged')
  const { restart } = targets[target]
  const node = io.env['NODE_NAME']
  const dryRun = options.dryRun === true
  if (options.output !== 'text') {
    const record = {
      ...(node !== undefined && { node }),
      target,
      dryRun,
      changes,
      restart: isChanged ? restart : 'no restart: nothing has changed',
    }
    const format = await loadItemFormat(options.output)
    print(io.stdout, format(record))
    return
  }
  for (const { file, what } of changes)
    print(io.stdout, escapeLine(`${dryRun ? (plannedTexts[what] ?? what) : what}  ${file}`))
  if (isChanged) printMessage(io, `${dryRun ? 'dry run; ' : ''}${restart}`)
}

/** What `--dry-run` prints for a change. */
const plannedTexts: Readonly<Partial<Record<FileChange['what'], string>>> = {
  created: 'would create',
  replaced: 'would replace',
  restored: 'would restore',
  removed: 'would remove',
}

/** Targets that a DaemonSet can write files for. */
const daemonSetTargets: readonly LocalTarget[] = ['containerd', 'microk8s', 'k3s', 'rke2']

function printManifest(options: NodesApplyOptions, io: Io): void {
  const { target, image, namespace, rollback } = options
  if (image === undefined)
    throw new BerthError('usage', '--manifest needs --image, whose entry point is berth')
  if (target === undefined || !daemonSetTargets.includes(target))
    throw new BerthError(
      'usage',
      `--manifest needs --target, one of ${daemonSetTargets.join(', ')}; other targets have their own ways to distribute files`,
    )
  const rendered = renderFiles(target, options, io)
  printFile(io.stdout, daemonSet(rendered, { namespace, image, rollback: rollback === true }))
  printMessage(io, rendered.restart)
}

/** Resolves when the signal aborts. The signal alone would not keep the process alive. */
async function waitForSignal(signal: AbortSignal): Promise<void> {
  const keepAlive = setInterval(() => undefined, longestDelayMs)
  await aborted(signal)
  clearInterval(keepAlive)
}
