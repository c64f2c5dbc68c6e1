/** What the formats have in common: files in, and how they are told of. */
import type { SemVer } from 'semver'
import type { NodeFinding, NodePlan } from '../plan/node-plan.ts'

export interface NodeFile {
  /** Below the target's own directory, with `/`. */
  readonly path: string
  readonly content: string
}

export interface Rendered {
  readonly files: readonly NodeFile[]
  /** What the format cannot say. */
  readonly omissions: readonly NodeFinding[]
  /** What people have to know beside the files. */
  readonly notes: readonly string[]
}

export interface RenderOptions {
  /** True: mirrors answer for digests alone, and tags are resolved upstream. */
  readonly digestOnly: boolean
  /** The version of the runtime or distribution; null for files that every version reads. */
  readonly version: SemVer | null
}

export interface Target {
  /** Where the files stand on a node; null where they do not stand on one. */
  readonly directory: string | null
  /** What has to be started anew, and why. */
  readonly restart: string
  render(plan: NodePlan, options: RenderOptions): Rendered
}
