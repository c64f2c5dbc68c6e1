/** The route of a pull by the table: the URLs to ask, in order and as a node asks them. */
import type { Config } from '../../config/config.ts'
import { hubReference } from '../../decision/fallback/registry-aliases.ts'
import { unknownPod } from '../../decision/fallback/pod-context.ts'
import { selectCandidates } from '../../decision/fallback/table.ts'
import { type Reference, withDefaultTag } from '../../decision/reference/reference.ts'
import { nodeRegistry } from '../plan/node-registry.ts'

export interface RouteOptions {
  /** True: only mirrors are asked. */
  readonly airGap: boolean
}

/**
 * Returns the route without alternates, which only the webhook uses. It is read from the table and not from the plan
 * that files are rendered from, so that `berth nodes check` also finds a mistake in the plan.
 */
export function tableRoute(config: Config, image: Reference, { airGap }: RouteOptions): string[] {
  const reference = withDefaultTag(image)
  const { row, candidates } = selectCandidates(config.table, reference, unknownPod)
  const original = hubReference(reference)
  const hasOriginal = candidates.some(({ kind }) => kind === 'original')
  const route = candidates.flatMap(({ kind, reference: candidate }) => {
    if (candidate === null || kind === 'alternate') return []
    return [kind === 'original' ? original : candidate]
  })
  // If no candidate is found, the image stays as it is, and the node asks its own registry.
  if (!hasOriginal && (row === null || row.otherwise === 'keep' || route.length === 0))
    route.push(original)
  const isAllowed = ({ domain }: Reference) =>
    !airGap || row === null || config.table.mirrors.has(domain)
  return route.filter(isAllowed).map((each) => {
    const { url } = nodeRegistry(each.domain, config.registries.get(each.domain))
    return pullUrl(url, each)
  })
}

/** `http://anubis:32000/v2/library/nginx:1.27`; with a digest, the tag does not matter. */
function pullUrl(url: string, { path, tag, digest }: Reference): string {
  return `${url}/v2/${path}${digest === null ? `:${tag}` : `@${digest}`}`
}
