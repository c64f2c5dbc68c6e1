/** Runs `berth rewrite --kustomize-out`: writes overlays that rewrite the images of kustomizations, and leaves these unchanged. */
import { mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, relative, resolve as resolvePath } from 'node:path'
import type { Config } from '../../config/config.ts'
import { readableWorkloads } from '../../config/known-workloads.ts'
import { createBatchDecider } from '../../engine/batch-decider.ts'
import { BerthError } from '../../errors.ts'
import { replaceFile } from '../../files/replace-file.ts'
import {
  type KustomizeOverlay,
  makeOverlays,
  overlayHeader,
  overlayText,
} from '../../manifests/kustomize/overlay.ts'
import { readManifestFiles } from '../../manifests/manifest-files.ts'
import { createUnreadFiles } from '../../manifests/unread-files.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { RewriteOptions } from './rewrite.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

/** Returns 0; 1 if a kustomization has no overlay. Throws `usage`, `manifest-invalid` and `file-unwritable`. */
export async function writeOverlays(
  config: Config,
  options: RewriteOptions & { readonly kustomizeOut: string },
  io: Io,
): Promise<number> {
  const out = resolvePath(options.kustomizeOut)
  const overlays = await overlaysOf(config, options, io)
  if (overlays.length === 0)
    throw new BerthError('usage', '--kustomize-out needs a kustomization; -R looks below')
  for (const { name, problem, notes } of overlays) {
    for (const note of notes) print(io.stderr, escapeLine(note))
    if (problem !== null) print(io.stderr, escapeLine(`${name}: no overlay is written: ${problem}`))
  }
  const common = commonDirectory(overlays.map(({ realPath }) => dirname(realPath)))
  for (const overlay of overlays.filter(({ problem }) => problem === null)) {
    const base = dirname(overlay.realPath)
    const directory = join(out, relative(common, base))
    createDirectory(directory)
    const file = join(directory, 'kustomization.yaml')
    requireOverlay(file)
    replaceFile(file, overlayText(overlay, relative(realpathSync(directory), base)))
    print(io.stdout, escapeLine(relative('.', file)))
  }
  return overlays.some(({ problem }) => problem !== null) ? 1 : 0
}

function createDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true })
  } catch (cause) {
    const why = describeFileError(cause)
    throw new BerthError('file-unwritable', `${directory} cannot be created: ${why}`, { cause })
  }
}

async function overlaysOf(
  config: Config,
  { filename, recursive, probe, secretsDir, namespace, owner }: RewriteOptions,
  io: Io,
): Promise<KustomizeOverlay[]> {
  const onProblem = (message: string) => printMessage(io, message)
  const unread = createUnreadFiles()
  const files = await readManifestFiles(filename, {
    recursive: recursive === true,
    stdin: io.stdin,
    unread,
  })
  unread.throwInvalid()
  // Without this, the overlays of an earlier run would get overlays too.
  const others = files.filter(({ text }) => !text.startsWith(overlayHeader))
  const decider = await createBatchDecider(config, {
    probe,
    secretsDirectory: secretsDir,
    env: io.env,
    onProblem,
  })
  try {
    return await makeOverlays(
      {
        decide: decider.decide,
        policy: config,
        table: config.table,
        workloads: readableWorkloads(config),
      },
      others,
      { namespace: namespace ?? null, owners: owner ?? null, signal: io.signal },
    )
  } finally {
    await decider.close()
  }
}

/** Returns the deepest directory that contains all of them. */
function commonDirectory(directories: readonly string[]): string {
  return directories.reduce((common, directory) => {
    let parent = common
    while (/^\.\.(?:[/\\]|$)/.test(relative(parent, directory))) parent = dirname(parent)
    return parent
  })
}

/** Throws `file-unwritable` if the file exists, and Berth did not write it. */
function requireOverlay(file: string): void {
  try {
    if (readFileSync(file, 'utf8').startsWith(overlayHeader)) return
  } catch {
    return
  }
  throw new BerthError(
    'file-unwritable',
    `${file} cannot be written: Berth did not write it; remove it, or give another directory`,
  )
}
