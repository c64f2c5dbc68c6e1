/** Renders the files of one target from the table. The same table gives the same bytes. */
import { createHash } from 'node:crypto'
import type { Config } from '../../config/config.ts'
import { type NodeFinding, type NodePlan, planNodes } from '../plan/node-plan.ts'
import { prefixOf } from '../plan/scope.ts'
import type { NodeFile, RenderOptions, Target } from './target.ts'
import { type TargetName, targets } from './targets.ts'

/** `berth nodes render -o json` prints this shape. */
export interface NodeFiles {
  readonly target: TargetName
  readonly directory: string | null
  readonly files: readonly NodeFile[]
  /** Parts of the table that the files leave out, with their path in the config; errors unless they are allowed. */
  readonly omissions: readonly NodeFinding[]
  readonly alternates: readonly NodeFinding[]
  readonly notes: readonly string[]
  readonly restart: string
}

/** Returns the files, each with a header that names Berth and lists what the file leaves out. */
export function renderNodes(
  config: Config,
  name: TargetName,
  options: RenderOptions & { readonly airGap: boolean },
): NodeFiles {
  const target: Target = targets[name]
  const plan = planNodes(config, options)
  const { files, omissions, notes } = target.render(plan, options)
  const all = [...plan.omissions, ...omissions, ...rulesWithoutTags(plan, options)].sort(byRow)
  const header = headerOf(plan, all)
  return {
    target: name,
    directory: target.directory,
    files: files.map((file) =>
      isCertificate(file) ? file : { ...file, content: header + file.content },
    ),
    omissions: all,
    alternates: plan.notes,
    notes,
    restart: target.restart,
  }
}

/** With `digestOnly`, mirrors do not resolve tags, so a rule without an upstream cannot pull by tag. */
function rulesWithoutTags(
  { rules, isMirror }: NodePlan,
  { digestOnly }: RenderOptions,
): NodeFinding[] {
  const closed = rules.filter(
    ({ upstream, scope }) => digestOnly && !upstream && !('host' in scope && isMirror(scope.host)),
  )
  return closed.map(({ configPath, row }) => ({
    path: configPath,
    message: `row ${row} has no upstream to resolve tags, and the mirrors serve only digests; leave --digest-only out`,
  }))
}

/** In the order of the rows; findings about no row come first. */
function byRow({ path: one }: NodeFinding, { path: other }: NodeFinding): number {
  return Number(one[1] ?? -1) - Number(other[1] ?? -1)
}

function isCertificate({ path }: NodeFile): boolean {
  return path.endsWith('.crt')
}

function headerOf(plan: NodePlan, omissions: readonly NodeFinding[]): string {
  const lines = [
    `# Written by berth nodes from table ${hashOf(plan)}. Edit the table, not this file.`,
    ...omissions.map(({ message }) => `# Left out: ${message}`),
  ]
  return `${lines.join('\n')}\n\n`
}

/** A hash of what the table means for nodes: the order of keys, comments and rows for the webhook do not change it. */
function hashOf({ rules, registries, airGap }: NodePlan): string {
  const meaning = rules.map(({ scope, mirrors, upstream }) => [
    prefixOf(scope),
    scope.kind,
    mirrors.map(({ registry: { url }, path }) => [url, path]),
    upstream,
  ])
  const text = JSON.stringify([
    meaning,
    registries.map(({ host, url, ca }) => [host, url, ca]),
    airGap,
  ])
  return `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 16)}`
}
