/** The container runtime whose registry files a verb is about, and its version. */
import { BerthError } from '../errors.ts'
import { detectTarget } from '../nodes/detect/local-node.ts'
import { readVersion } from '../nodes/render/target-version.ts'
import type { LocalTarget } from './node-options.ts'

/** Returns the target that is given, or the one found below `root`. Throws `nodes-undetected`. */
export function localTarget(given: LocalTarget | undefined, root: string): LocalTarget {
  const target = given ?? detectTarget(root)
  if (target !== null) return target
  throw new BerthError(
    'nodes-undetected',
    `${root} has no sign of containerd, MicroK8s, K3s, RKE2 or CRI-O; use --target or --root, or \`berth nodes detect --cluster\` for the nodes of a cluster`,
  )
}

/** Throws `usage` for text that is not a version. Null for none. */
export function parseTargetVersion(text: string | undefined): ReturnType<typeof readVersion> {
  if (text === undefined) return null
  const version = readVersion(text)
  if (version !== null) return version
  throw new BerthError(
    'usage',
    `--target-version ${text} is not a version; write it as 1.7 or 2.1.4`,
  )
}
