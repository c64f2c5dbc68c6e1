/** Compares where a node's files and the table send images. */
import type { Config } from '../../config/config.ts'
import { exampleImage } from '../../decision/fallback/example-image.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import {
  defaultDomain,
  formatReference,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { type NamedImage, namedImage, type NodeState, nodeRoute } from '../read/node-route.ts'
import { isShortName } from '../read/short-names.ts'
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
  images: readonly NamedImage[],
  options: RouteOptions,
): RouteComparison[] {
  return images.map((image) => {
    const table = tableRoute(config, image.reference, options)
    const node = nodeRoute(state, image)
    const same = table.join(' ') === node.join(' ')
    return { image: nameIn(state, image), table, node, same }
  })
}

/** Other runtimes read a short name as the table does. */
function nameIn({ kind }: NodeState, { reference, text }: NamedImage): string {
  return kind === 'crio' && isShortName(text) ? text : formatReference(withDefaultTag(reference))
}

/** Returns the images to compare when the caller names none: one for each pattern, the images of the config's tests, and one of each registry. */
export function sampleImages({ table, tests, registries }: Config): NamedImage[] {
  const ofPatterns = table.rows.flatMap(({ images }) =>
    images.map((pattern) => namedImage(withDefaultTag(exampleImage(pattern)))),
  )
  const ofTests = tests.flatMap(({ image }) => {
    const parsed = parseReference(image)
    return parsed.ok ? [{ reference: parsed.reference, text: image }] : []
  })
  const ofRegistries = [...registries.keys()].map((domain) =>
    namedImage({ domain, path: 'a/b', tag: 'latest', digest: null }),
  )
  const valid = [...ofPatterns, ...ofTests, ...ofRegistries].filter(
    ({ reference: { domain, path } }) =>
      domain !== '' && (domain !== defaultDomain || path.includes('/')),
  )
  return [...new Map(valid.map((each) => [each.text, each])).values()]
}
