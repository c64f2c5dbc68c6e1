/** The panel with the change over the last hours, as the processes of Berth counted it. */
import type { Trend, TrendPoint } from '../wire.ts'
import { age, clock, percent, plural } from './format.ts'
import { Empty, Panel } from './parts.tsx'
import { Sparkline } from './sparkline.tsx'

export function TrendPanel({ trend }: { readonly trend: Trend | undefined }) {
  return (
    <Panel title="Last hours" note="counted by the processes of Berth">
      {trend === undefined ? (
        <Empty title="Reading the metrics of Berth …" />
      ) : trend.problem !== null ? (
        <Empty title={`The pods in ${trend.namespace} cannot be listed`}>{trend.problem}</Empty>
      ) : trend.processes.length === 0 ? (
        <Empty title={`No process of Berth runs in ${trend.namespace}`} />
      ) : (
        <Counted trend={trend} />
      )}
    </Panel>
  )
}

function Counted({ trend: { processes, points, stepMs } }: { readonly trend: Trend }) {
  const starts = processes.flatMap(({ since }) => since ?? [])
  const unread = processes.filter(({ since }) => since === null)
  return (
    <>
      {points.length > 0 && <Sparks points={points} stepMs={stepMs} />}
      {points.length > 0 && <p class="dim">{spanText(points, Math.min(...starts), stepMs)}</p>}
      {starts.length > 0 && (
        <p class="dim">
          {starts.length === 1 ? '1 process' : `${starts.length} processes`}, started at{' '}
          {starts
            .toSorted((one, other) => one - other)
            .map(clock)
            .join(', ')}
          . What earlier processes counted is not known.
        </p>
      )}
      {unread.length > 0 && (
        <ul class="texts">
          {unread.map(({ name, problem }) => (
            <li key={name}>
              <span class="mono">{name}</span> cannot be read: {problem}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function Sparks({
  points,
  stepMs,
}: {
  readonly points: readonly TrendPoint[]
  readonly stepMs: number
}) {
  // The last step has not ended, so its count is lower.
  const ended = points.filter(({ at }) => at % stepMs === 0)
  const withImages = points.filter(({ images }) => images > 0)
  const withFailing = points.filter(({ failing }) => failing !== null)
  const failing = withFailing.at(-1)?.failing ?? null
  return (
    <div class="sparks">
      {ended.length > 0 && (
        <Sparkline
          name="Reviews"
          values={ended.map(({ reviews }) => reviews)}
          text={sum(points, 'reviews').toLocaleString('en')}
          samples={ended}
          isTotal
        />
      )}
      {withImages.length > 0 && (
        <Sparkline
          name="From a mirror"
          values={withImages.map(({ fromMirror, images }) => fromMirror / images)}
          max={1}
          text={percent(sum(points, 'fromMirror'), sum(points, 'images'))}
          samples={withImages}
          isTotal
        />
      )}
      {failing !== null && (
        <Sparkline
          name="Pods that cannot pull"
          values={withFailing.map((point) => point.failing ?? 0)}
          text={String(failing)}
          samples={withFailing}
          isBad
        />
      )}
    </div>
  )
}

/** Says which time the numbers cover: less than a day after a restart. */
function spanText(points: readonly TrendPoint[], oldest: number, stepMs: number): string {
  const start = Math.max((points[0]?.at ?? 0) - stepMs, oldest)
  const [reviews, denied, errors] = (['reviews', 'denied', 'errors'] as const).map((name) =>
    sum(points, name),
  )
  return `In the last ${age(start, points.at(-1)?.at ?? start)}: ${plural(reviews ?? 0, 'review')}, ${(denied ?? 0).toLocaleString('en')} denied, ${(errors ?? 0).toLocaleString('en')} without a decision. `
}

function sum(
  points: readonly TrendPoint[],
  name: 'reviews' | 'denied' | 'errors' | 'images' | 'fromMirror',
): number {
  return points.reduce((total, point) => total + point[name], 0)
}
