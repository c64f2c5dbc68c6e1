/** Where the table sends a pull, told in the terms of a node: the places that are asked, in order. */
import type { Config } from '../../config/config.ts'
import { canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import { selectCandidates } from '../../decision/fallback/table.ts'
import { type Reference, withDefaultTag } from '../../decision/reference/reference.ts'
import { nodeRegistry } from '../plan/node-registry.ts'

export interface RouteOptions {
  /** True: nobody but mirrors is asked. */
  readonly airGap: boolean
}

/**
 * The order of the table without alternates, which only the webhook takes. Read from the table itself and not from the
 * rules that files are written from, so that a fault in those shows.
 */
export function tableRoute(config: Config, asked: Reference, { airGap }: RouteOptions): string[] {
  const reference = withDefaultTag(asked)
  const { row, candidates } = selectCandidates(config.table, reference, 'default')
  const itself = canonicalReference(reference)
  const isOriginal = candidates.some(({ kind }) => kind === 'original')
  const wanted = candidates.flatMap(({ kind, reference }) =>
    reference === null || kind === 'alternate' ? [] : [kind === 'original' ? itself : reference],
  )
  // An image for which nothing is found stays as it is, and the node asks for it where it stands.
  if (!isOriginal && (row === null || row.otherwise === 'keep' || wanted.length === 0))
    wanted.push(itself)
  const isOpen = ({ domain }: Reference) =>
    !airGap || row === null || config.table.mirrors.has(domain)
  return wanted.filter(isOpen).map((each) => {
    const { url } = nodeRegistry(each.domain, config.registries.get(each.domain))
    return placeText(url, each)
  })
}

/** `http://anubis:32000/v2/library/nginx:1.27`, what is asked for at a registry's URL. A digest makes the tag count for nothing. */
function placeText(url: string, { path, tag, digest }: Reference): string {
  return `${url}/v2/${path}${digest === null ? `:${tag}` : `@${digest}`}`
}
