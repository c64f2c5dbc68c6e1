/** The view that compares the mirrors with upstream on request. */
import { useMemo, useState } from 'preact/hooks'
import type { MirrorComparison } from '../wire.ts'
import { clock, plural } from './format.ts'
import { Badge, Empty, Problem, type Tone } from './parts.tsx'
import type { Ask } from './store.ts'
import { useIsNarrow } from './use-narrow.ts'
import { VirtualRows } from './virtual-rows.tsx'

type Line = MirrorComparison['images'][number]

const tones: Readonly<Partial<Record<Line['state'], Tone>>> = {
  mirrored: 'good',
  drifted: 'warn',
  missing: 'warn',
  waiting: 'warn',
}

export interface MirrorViewProps {
  readonly ask: Ask
  readonly probes: boolean
  readonly isShared: boolean
  /** The last result, which outlives the view. */
  readonly comparison: MirrorComparison | null
  readonly onComparison: (comparison: MirrorComparison) => void
}

export function MirrorView({ ask, probes, isShared, comparison, onComparison }: MirrorViewProps) {
  const [isAsking, setAsking] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const compare = async () => {
    setAsking(true)
    setProblem(null)
    try {
      onComparison(await ask<MirrorComparison>('mirror'))
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setAsking(false)
  }
  if (isShared)
    return (
      <Empty title="The console in the cluster contacts no registry on request">
        Run berth console or berth report --mirror on your machine.
      </Empty>
    )
  if (!probes) return <Empty title="The console was started with --no-probe" />
  return (
    <>
      <div class="actions">
        <button type="button" class="primary" disabled={isAsking} onClick={() => void compare()}>
          {isAsking ? 'Comparing …' : 'Compare the mirrors with upstream'}
        </button>
        {comparison !== null && <span class="dim">compared at {clock(comparison.at)}</span>}
      </div>
      <Problem message={problem} />
      {comparison === null ? (
        <Empty title="Not compared yet">
          Shows which images belong on a mirror, and whether the mirror has the same content as
          upstream. This sends requests to both registries for each image.
        </Empty>
      ) : (
        <Comparison comparison={comparison} />
      )}
    </>
  )
}

function Comparison({ comparison }: { readonly comparison: MirrorComparison }) {
  const isNarrow = useIsNarrow()
  const { summary } = comparison
  // What needs attention comes first.
  const lines = useMemo(
    () =>
      [...comparison.images].sort(
        (one, other) => Number(one.state === 'mirrored') - Number(other.state === 'mirrored'),
      ),
    [comparison],
  )
  const states = Object.entries(summary).filter(([state, count]) => state !== 'images' && count > 0)
  return (
    <>
      <p class="count" role="status">
        {plural(summary.images, 'image')} {summary.images === 1 ? 'belongs' : 'belong'} on a mirror
        {states.map(([state, count]) => `, ${count.toLocaleString('en')} ${state}`)}
      </p>
      {lines.length === 0 ? (
        <Empty title="No image belongs on a mirror">
          The rows of running images name no registry with mirror: true.
        </Empty>
      ) : (
        <VirtualRows
          label="Images on the mirrors"
          headings={['On the mirror', 'State', 'Upstream', 'Problem']}
          rows={lines}
          rowHeight={isNarrow ? 88 : 40}
          keyOf={({ image, from }) => `${image} ${from}`}
          cells={({ image, state, from, detail }) => [
            <span class="mono" title={image}>
              {image}
            </span>,
            <Badge tone={tones[state] ?? 'bad'}>{state}</Badge>,
            <span class="mono" title={from}>
              {from}
            </span>,
            <span title={detail ?? ''}>{detail}</span>,
          ]}
        />
      )}
    </>
  )
}
