/** The state file of `berth nodes apply`: what each file contained before Berth, so that it can be restored. */
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BerthError } from '../../errors.ts'
import { writeAndRename } from '../../files/replace-file.ts'
import type { TargetName } from '../render/targets.ts'
import { readTextOrNull, unwritable } from './atomic-files.ts'

/** The members are the format of the state file, which earlier versions wrote too. */
export interface AppliedFile {
  /** The path on the machine, without the root. */
  readonly file: string
  /** The text before Berth; null if there was no file. It can contain passwords, so only root may read the state. */
  readonly before: string | null
  /** The mode before Berth; null if there was no file, undefined in the state of an earlier version. */
  readonly mode?: number | null
  /** True if Berth created the directory, which is then removed with the file: an empty directory under certs.d would hide _default. */
  readonly ownDirectory: boolean
  /** The hash of what Berth wrote. */
  readonly sha256: string
}

const stateDirectory = '/var/lib/berth/nodes'

/** Returns the files that Berth wrote for a target. Throws `nodes-changed` if the state file is not readable as such. */
export function readAppliedFiles(root: string, target: TargetName): readonly AppliedFile[] {
  const path = statePath(root, target)
  const text = readTextOrNull(path)
  if (text === null) return []
  try {
    return (JSON.parse(text) as { readonly entries: readonly AppliedFile[] }).entries
  } catch (cause) {
    throw new BerthError(
      'nodes-changed',
      `${path} is not valid JSON; repair it, or remove it, and Berth can no longer restore the original files`,
      { cause },
    )
  }
}

/** Throws `nodes-unwritable`. */
export function writeAppliedFiles(
  root: string,
  target: TargetName,
  entries: readonly AppliedFile[],
): void {
  const path = statePath(root, target)
  try {
    if (entries.length === 0) return rmSync(path, { force: true })
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeAndRename(path, `${JSON.stringify({ entries }, null, 2)}\n`, { mode: 0o600 })
  } catch (cause) {
    throw unwritable(cause)
  }
}

function statePath(root: string, target: TargetName): string {
  return join(root, stateDirectory, `${target}.json`)
}
