/** Do a node's files send images where the table does? */
import type { Config } from '../../config/config.ts'
import { exampleImage } from '../../decision/fallback/example-image.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import {
  defaultDomain,
  formatReference,
  type Reference,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { type NodeState, nodeRoute } from '../runtimes/node-route.ts'
import { tableRoute } from './table-route.ts'

export interface RouteComparison {
  readonly image: string
  /** Places that the table asks, in order, without alternates. */
  readonly table: readonly string[]
  readonly node: readonly string[]
  readonly same: boolean
}

export function compareRoutes(
  config: Config,
  state: NodeState,
  images: readonly Reference[],
  options: { readonly airGap: boolean },
): RouteComparison[] {
  return images.map((reference) => {
    const table = tableRoute(config, reference, options)
    const node = nodeRoute(state, reference)
    const same = table.join(' ') === node.join(' ')
    return { image: formatReference(withDefaultTag(reference)), table, node, same }
  })
}

/** One image for each pattern of the table, those of its tests, and one of each registry, all once. */
export function sampleImages({ table, tests, registries }: Config): Reference[] {
  const patterns = table.rows.flatMap(({ images }) =>
    images.map((pattern) => exampleImage(pattern)),
  )
  const tested = tests.flatMap(({ image }) => {
    const parsed = parseReference(image)
    return parsed.ok ? [parsed.reference] : []
  })
  const listed = [...registries.keys()].map((domain) => ({
    domain,
    path: 'a/b',
    tag: null,
    digest: null,
  }))
  const all = [...patterns, ...tested, ...listed].map((each) => withDefaultTag(each))
  const real = all.filter(
    ({ domain, path }) => domain !== '' && (domain !== defaultDomain || path.includes('/')),
  )
  return [...new Map(real.map((each) => [formatReference(each), each])).values()]
}
