/** Opens the image layouts of `berth mirror --to` and `--from`, and plans the copies. */
import { BerthError } from '../../errors.ts'
import type { MirrorRegistries } from '../../engine/mirror-registries.ts'
import {
  collectPairs,
  type CollectedPairs,
  type CollectPairsOptions,
  readImage,
} from '../../mirror/collect-pairs.ts'
import type { ImagePair } from '../../mirror/image-pair.ts'
import { imagesToCopy, pairsIntoLayout } from '../../mirror/layout-pairs.ts'
import type { ImageSourceOptions } from '../options.ts'
import type { LayoutLocation } from '../../registry/layout/layout-location.ts'
import type { ImageLayout } from '../../registry/layout/layout-store.ts'

export interface LayoutChoice {
  readonly from?: LayoutLocation
  readonly to?: LayoutLocation
}

/** The layouts that replace registries; null for a side without one. */
export interface Layouts {
  readonly from: ImageLayout | null
  readonly to: ImageLayout | null
  /** Throws `file-unwritable` if a layout cannot be completed. */
  close(): Promise<void>
}

export interface OpenLayoutsOptions extends LayoutChoice {
  readonly dryRun?: boolean
}

/** Opens the layouts that the options name. Throws `layout-invalid`. */
export async function openLayouts({ from, to, dryRun }: OpenLayoutsOptions): Promise<Layouts> {
  if (from === undefined && to === undefined) {
    return { from: null, to: null, close: () => Promise.resolve() }
  }
  // Loaded late, because most runs need no layout.
  const { openLayout } = await import('../../registry/layout/layout-store.ts')
  const source =
    from === undefined ? null : await openLayout(from, { access: 'read', verify: false })
  const access = dryRun === true ? 'plan' : 'write'
  const destination = to === undefined ? null : await openLayout(to, { access, verify: true })
  return {
    from: source,
    to: destination,
    async close() {
      await source?.close()
      await destination?.close()
    },
  }
}

/** Returns true if the command needs no table, because it writes images to a layout under their own names. */
export function needNoTable(
  names: readonly string[],
  { from, to, filename = [], fromCluster = false }: LayoutChoice & Partial<ImageSourceOptions>,
): boolean {
  if (to === undefined || filename.length > 0 || fromCluster) return false
  return from !== undefined || names.length > 0
}

/** Returns the pairs to copy, as `collectPairs` does, with the layouts instead of registries. */
export async function collectLayoutPairs(
  opened: MirrorRegistries,
  { from, to }: Pick<Layouts, 'from' | 'to'>,
  options: CollectPairsOptions & { readonly hasAllPlatforms: boolean },
): Promise<CollectedPairs> {
  const { names, files, cluster, hasAllPlatforms } = options
  const isAll = from !== null && names.length + files.length === 0 && cluster === null
  const given = isAll ? imagesToCopy(from.images) : names
  if (isAll && given.length === 0) {
    throw new BerthError('layout-invalid', `${from.name} has no image with a name`)
  }
  const areImages = isAll || to !== null
  const config = isAll && to !== null ? null : opened.config
  const collected = await collectPairs(
    { ...opened, config },
    { ...options, names: given, areImages },
  )
  const withSource = ({ pairs }: Pick<CollectedPairs, 'pairs'>): readonly ImagePair[] =>
    from === null ? pairs : pairs.map((pair) => ({ ...pair, sourceLayout: from.name }))
  if (to === null) return { ...collected, pairs: withSource(collected) }
  // Images that the user names are also written if the table has no mirror for them.
  const asTheyAre = config === null ? given : names.length === 0 ? [] : unplanned(collected)
  const pairs = [...collected.pairs, ...asTheyAre.map(unchanged)]
  const unlisted = names.length === 0 ? collected.unlisted : []
  const into = { layout: to.name, hasAllPlatforms }
  return { ...collected, unlisted, pairs: pairsIntoLayout(withSource({ pairs }), into) }
}

function unplanned({ unlisted }: CollectedPairs): readonly string[] {
  return unlisted.map(({ image }) => image)
}

function unchanged(name: string): ImagePair {
  const reference = readImage(name)
  return { source: reference, destination: reference, row: null }
}
