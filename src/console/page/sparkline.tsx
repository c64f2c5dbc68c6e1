/** A small line of a value over time. */
import { age } from './format.ts'

export interface SparklineProps {
  readonly name: string
  readonly values: readonly number[]
  readonly samples: readonly { readonly at: number }[]
  /** The latest value, or the total. */
  readonly text: string
  readonly max?: number
  readonly isBad?: boolean
  /** True if `text` is the total and not the latest value. */
  readonly isTotal?: boolean
}

const size = { width: 240, height: 40 }

export function Sparkline(props: SparklineProps) {
  const { name, values, samples, text, max, isBad = false, isTotal = false } = props
  const top = max ?? Math.max(1, ...values)
  const start = samples[0]?.at ?? 0
  const span = Math.max(1, (samples.at(-1)?.at ?? 0) - start)
  const points = values.map((value, index) => {
    const x = (((samples[index]?.at ?? start) - start) / span) * size.width
    return `${x.toFixed(1)},${(size.height - 2 - (value / top) * (size.height - 4)).toFixed(1)}`
  })
  const label = `${name}: ${isTotal ? 'in total' : 'now'} ${text}, lowest ${Math.min(...values).toFixed(2)}, highest ${Math.max(...values).toFixed(2)} in ${age(start, start + span)}`
  return (
    <figure class={isBad ? 'spark bad' : 'spark good'}>
      <figcaption>
        {name} <b>{text}</b>
      </figcaption>
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        role="img"
        aria-label={label}
        preserveAspectRatio="none"
      >
        <polyline points={points.join(' ')} />
      </svg>
    </figure>
  )
}
