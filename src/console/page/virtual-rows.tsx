/** Draws only the rows of a long table that are in view, so that 10,000 rows scroll without a stutter. */
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { windowOf } from './row-window.ts'

export interface VirtualRowsProps<Row> {
  readonly label: string
  readonly headings: readonly string[]
  readonly rows: readonly Row[]
  /** Pixels. All rows have this height. */
  readonly rowHeight: number
  readonly keyOf: (row: Row) => string
  /** Returns the cells of a row. */
  readonly cells: (row: Row) => readonly ComponentChildren[]
}

export function VirtualRows<Row>(props: VirtualRowsProps<Row>) {
  const { label, headings, rows, rowHeight, keyOf, cells } = props
  const scroller = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ top: 0, height: 800 })
  useLayoutEffect(() => {
    const element = scroller.current
    if (element === null) return
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight })
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    element.addEventListener('scroll', measure, { passive: true })
    return () => {
      observer.disconnect()
      element.removeEventListener('scroll', measure)
    }
  }, [])
  const { first, last } = windowOf({ count: rows.length, rowHeight, ...view })
  return (
    <div
      class={`table cells-${headings.length}`}
      role="table"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={headings.length}
    >
      <div role="rowgroup" class="head">
        <div role="row" class="row" aria-rowindex={1}>
          {headings.map((heading) => (
            <div role="columnheader" key={heading}>
              {heading}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="body" ref={scroller} tabIndex={0} aria-label={label}>
        <div class="spacer" role="presentation" style={{ height: `${rows.length * rowHeight}px` }}>
          {rows.slice(first, last).map((row, index) => (
            <div
              role="row"
              class="row"
              key={keyOf(row)}
              aria-rowindex={first + index + 2}
              style={{ transform: `translateY(${(first + index) * rowHeight}px)`, height: `${rowHeight}px` }} // prettier-ignore
            >
              {cells(row).map((cell, column) => (
                <div role="cell" key={headings[column]}>
                  {cell}
                </div>
              ))}
            </div>
          ))}
        </div>
      </div>
    </div>
  )
}
