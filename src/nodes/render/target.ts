/** The interface of a render target: a plan in, files and findings out. */
import type { SemVer } from 'semver'
import type { NodeFinding, NodePlan } from '../plan/node-plan.ts'

export interface NodeFile {
  /** Relative to the target's directory, with `/`. */
  readonly path: string
  readonly content: string
}

export interface RenderedTarget {
  readonly files: readonly NodeFile[]
  /** What the format cannot express. */
  readonly omissions: readonly NodeFinding[]
  /** Facts that a person needs to know about the files. */
  readonly notes: readonly string[]
}

export interface RenderOptions {
  /** True: mirrors serve only digests, and tags are resolved upstream. */
  readonly digestOnly: boolean
  /** The version of the runtime or distribution; null for files that every version reads. */
  readonly version: SemVer | null
}

export interface Target {
  /** The directory on a node; null when the files are not for a node's file system. */
  readonly directory: string | null
  /** What has to restart after a change, and why. */
  readonly restart: string
  render(plan: NodePlan, options: RenderOptions): RenderedTarget
}
