/** Compares where a node's files and the table send images. */
import type { Config } from '../../config/config.ts'
import { exampleImage } from '../../decision/fallback/example-image.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import {
  defaultDomain,
  formatReference,
  type Reference,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { type NodeState, nodeRoute } from '../read/node-route.ts'
import { type RouteOptions, tableRoute } from './table-route.ts'

/** `berth nodes check -o json` prints this shape. */
export interface RouteComparison {
  readonly image: string
  /** The URLs of the table, in order and without alternates. */
  readonly table: readonly string[]
  readonly node: readonly string[]
  readonly same: boolean
}

export function compareRoutes(
  config: Config,
  state: NodeState,
  images: readonly Reference[],
  options: RouteOptions,
): RouteComparison[] {
  return images.map((reference) => {
    const table = tableRoute(config, reference, options)
    const node = nodeRoute(state, reference)
    const same = table.join(' ') === node.join(' ')
    return { image: formatReference(withDefaultTag(reference)), table, node, same }
  })
}

/** Returns the images to compare when the caller names none: one for each pattern, the images of the config's tests, and one of each registry. */
export function sampleImages({ table, tests, registries }: Config): Reference[] {
  const ofPatterns = table.rows.flatMap(({ images }) =>
    images.map((pattern) => exampleImage(pattern)),
  )
  const ofTests = tests.flatMap(({ image }) => {
    const parsed = parseReference(image)
    return parsed.ok ? [parsed.reference] : []
  })
  const ofRegistries = [...registries.keys()].map((domain) => ({
    domain,
    path: 'a/b',
    tag: null,
    digest: null,
  }))
  const all = [...ofPatterns, ...ofTests, ...ofRegistries].map((each) => withDefaultTag(each))
  const valid = all.filter(
    ({ domain, path }) => domain !== '' && (domain !== defaultDomain || path.includes('/')),
  )
  return [...new Map(valid.map((each) => [formatReference(each), each])).values()]
}
