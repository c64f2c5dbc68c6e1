/** Draws how images flow from upstream registries through rows and mirrors to namespaces. A click filters the list below. */
import { sankey, sankeyLinkHorizontal } from 'd3-sankey'
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Flow, FlowNode } from '../wire.ts'
import type { Place } from './image-filter.ts'
import { Empty } from './parts.tsx'

export interface FlowViewProps {
  readonly flow: Flow | undefined
  readonly place: Place | null
  readonly onPlace: (place: Place | null) => void
}

const titles = ['Requested from', 'Row', 'Pulled from', 'Namespace']

const columnOf: Readonly<Record<FlowNode['column'], number>> = { upstream: 0, row: 1, source: 2, namespace: 3 } // prettier-ignore

/** Pixels. */
const nodeWidth = 12
const minWidth = 860
const margin = { top: 28, bottom: 8, side: 4, right: 150 }

export function FlowView({ flow, place, onPlace }: FlowViewProps) {
  const box = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(960)
  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    const observer = new ResizeObserver(() => setWidth(Math.max(minWidth, element.clientWidth)))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const isEmpty = flow === undefined || flow.links.length === 0
  return (
    <div class="scroll" ref={box} role="region" aria-label="Flow of images" tabIndex={0}>
      {isEmpty ? (
        <Empty title={flow === undefined ? 'Reading the cluster …' : 'No pods run an image here'} />
      ) : (
        <Picture flow={flow} width={width} place={place} onPlace={onPlace} />
      )}
    </div>
  )
}

function Picture({
  flow,
  width,
  place,
  onPlace,
}: FlowViewProps & { readonly flow: Flow; readonly width: number }) {
  const { graph, height } = useMemo(() => layOut(flow, width), [flow, width])
  const path = sankeyLinkHorizontal()
  const isOn = ({ column, name }: FlowNode) => place?.column === column && place.name === name
  return (
    <svg class="flow" width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
      {titles.map((title, index) => (
        <text key={title} class="title" x={columnX(index, width)} y={14}>
          {title}
        </text>
      ))}
      <g aria-hidden="true">
        {graph.links.map((link) => {
          const [source, target] = [link.source, link.target] as unknown as [FlowNode, FlowNode]
          const isLit = place === null || isOn(source) || isOn(target)
          return (
            <path
              key={`${source.id} ${target.id}`}
              class={`link ${toneOf(source, target)} ${isLit ? '' : 'faint'}`}
              d={path(link) ?? ''}
              stroke-width={Math.max(1.5, link.width ?? 1)}
            >
              <title>{`${source.name} → ${target.name}: ${link.value}`}</title>
            </path>
          )
        })}
      </g>
      {graph.nodes.map((node) => (
        <Node key={node.id} node={node} isOn={isOn(node)} onPlace={onPlace} />
      ))}
    </svg>
  )
}

type Placed = ReturnType<typeof layOut>['graph']['nodes'][number]

function Node({
  node,
  isOn,
  onPlace,
}: {
  readonly node: Placed
  readonly isOn: boolean
  readonly onPlace: (place: Place | null) => void
}) {
  const { x0 = 0, x1 = 0, y0 = 0, y1 = 0, value = 0, column, name, others, state } = node
  const choose = () => (others > 0 ? undefined : onPlace(isOn ? null : { column, name }))
  const tone = nodeTone(node)
  const note = state === 'dead' ? ' ✕ no answer' : state === 'limited' ? ' ! rate limited' : ''
  return (
    <g
      class={`node ${tone} ${isOn ? 'on' : ''}`}
      {...(others > 0
        ? {}
        : {
            role: 'button',
            tabindex: 0,
            'aria-pressed': isOn,
            'aria-label': `${cut(name)} ${value.toLocaleString('en')}${note}. ${titles[columnOf[column]]}: ${name}`,
            onClick: choose,
            onKeyDown: (event: KeyboardEvent) => {
              if (event.key !== 'Enter' && event.key !== ' ') return
              event.preventDefault()
              choose()
            },
          })}
    >
      <rect x={x0} y={y0} width={x1 - x0} height={Math.max(2, y1 - y0)} rx={2} />
      <text x={x1 + 6} y={(y0 + y1) / 2} dy="0.35em">
        {cut(name)}
        <tspan class="value">
          {' '}
          {value.toLocaleString('en')}
          {note}
        </tspan>
      </text>
    </g>
  )
}

const maxName = 26

function cut(name: string): string {
  return name.length > maxName ? `${name.slice(0, maxName - 1)}…` : name
}

function nodeTone({ state, isMirror }: FlowNode): string {
  if (state === 'dead') return 'bad'
  if (state === 'limited') return 'warn'
  return isMirror ? 'good' : 'plain'
}

function toneOf(source: FlowNode, target: FlowNode): string {
  const registry = target.column === 'source' ? target : source
  return nodeTone(registry)
}

function columnX(index: number, width: number): number {
  return margin.side + (index * (width - margin.side - margin.right - nodeWidth)) / 3
}

function layOut(flow: Flow, width: number) {
  const perColumn = Math.max(
    ...titles.map(
      (_, index) => flow.nodes.filter(({ column }) => columnOf[column] === index).length,
    ),
  )
  const height = margin.top + margin.bottom + Math.max(260, perColumn * 34)
  const graph = sankey<FlowNode, { readonly value: number }>()
    .nodeId(({ id }) => id)
    .nodeAlign(({ column }) => columnOf[column])
    .nodeWidth(nodeWidth)
    .nodePadding(20)
    .extent([
      [margin.side, margin.top],
      [width - margin.right, height - margin.bottom],
    ])({
    nodes: flow.nodes.map((node) => ({ ...node })),
    links: flow.links.map(({ from, to, pods }) => ({ source: from, target: to, value: pods })),
  })
  return { graph, height }
}
