/** One table to the files of one target, with the same bytes for the same table. */
import { createHash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { type NodeFinding, type NodePlan, planNodes } from './plan/node-plan.ts'
import { prefixOf } from './plan/scope.ts'
import type { NodeFile, RenderOptions, Target } from './targets/target.ts'
import { type TargetName, targets } from './targets/targets.ts'

export interface NodeFiles {
  readonly target: TargetName
  readonly directory: string | null
  readonly files: readonly NodeFile[]
  /** Of the table, with their place in it; an error unless they are allowed. */
  readonly omissions: readonly NodeFinding[]
  readonly alternates: readonly NodeFinding[]
  readonly notes: readonly string[]
  readonly restart: string
}

/** The files of a target, each with a comment on top that says whose it is and what is not in it. */
export function renderNodes(
  config: Config,
  name: TargetName,
  options: RenderOptions & { readonly airGap: boolean },
): NodeFiles {
  const target: Target = targets[name]
  const plan = planNodes(config, options)
  const { files, omissions, notes } = target.render(plan, options)
  const all = [...plan.omissions, ...omissions, ...tagless(plan, options)].sort(byPlace)
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

/** A mirror that does not resolve tags needs somebody behind it who does. */
function tagless({ rules, isMirror }: NodePlan, { digestOnly }: RenderOptions): NodeFinding[] {
  const closed = rules.filter(
    ({ upstream, scope }) => digestOnly && !upstream && !('host' in scope && isMirror(scope.host)),
  )
  return closed.map(({ configPath, row }) => {
    return {
      path: configPath,
      message: `row ${row} has nobody upstream to resolve tags, and mirrors are for digests only; leave --digest-only out`,
    }
  })
}

/** In the order of the rows; what concerns no row comes first. */
function byPlace({ path: one }: NodeFinding, { path: other }: NodeFinding): number {
  return Number(one[1] ?? -1) - Number(other[1] ?? -1)
}

function isCertificate({ path }: NodeFile): boolean {
  return path.endsWith('.crt')
}

/** The first words of every file that Berth writes. */
const mark = '# Written by berth nodes.'

function headerOf(plan: NodePlan, omissions: readonly NodeFinding[]): string {
  const lines = [`${mark} Table ${hashOf(plan)}; changes belong into the table.`]
  lines.push(...omissions.map(({ message }) => `# Not in here: ${message}`))
  return `${lines.join('\n')}\n\n`
}

/** Of what the table means to a node, so that order of keys, comments and rows for the webhook do not count. */
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
