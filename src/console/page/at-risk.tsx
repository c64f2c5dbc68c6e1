/** The running images that are gone from their registries: a tile, and a panel that lists them. */
import type { AtRisk } from '../wire.ts'
import { clock, plural } from './format.ts'
import { Badge, Empty, Panel, Tile } from './parts.tsx'

const panelId = 'at-risk'

export function AtRiskTile({ atRisk: { summary } }: { readonly atRisk: AtRisk }) {
  return (
    <Tile
      name="At risk"
      value={summary.absent.toLocaleString('en')}
      tone={summary.absent > 0 ? 'warn' : 'plain'}
      onClick={() => document.querySelector<HTMLElement>(`#${panelId}`)?.focus()}
    >
      gone from a registry
      {summary.unknown > 0 && `, ${summary.unknown.toLocaleString('en')} unknown`}
    </Tile>
  )
}

export function AtRiskPanel({ atRisk }: { readonly atRisk: AtRisk }) {
  const { images, moreImages, summary, at } = atRisk
  return (
    <div id={panelId} tabIndex={-1}>
      <Panel title="Images at risk" note={`checked at ${clock(at)}`}>
        {images.length === 0 ? (
          <Empty title="Every running image is still in its registry" />
        ) : (
          <ul class="bars">
            {images.map((line) => (
              <Line key={`${line.source} ${line.image}`} line={line} />
            ))}
          </ul>
        )}
        {moreImages > 0 && <p class="dim">and {moreImages.toLocaleString('en')} more</p>}
        {summary.absent > 0 && (
          <p class="dim">
            Gone means that the registry has answered 404 once. Keep the copies of images that are
            gone upstream: a mirror cannot copy them again.
          </p>
        )}
      </Panel>
    </div>
  )
}

function Line({ line }: { readonly line: AtRisk['images'][number] }) {
  const { image, source, state, detail, namespaces, moreNamespaces } = line
  return (
    <li>
      <span>
        <span class="mono">{image}</span>
        <span class="detail">
          {source === 'upstream' ? 'the original of a mirrored image, in ' : 'in '}
          {namespaces.join(', ')}
          {moreNamespaces > 0 && ` and ${plural(moreNamespaces, 'more namespace')}`}
          {state === 'unknown' && `: ${detail}`}
        </span>
      </span>
      <Badge tone={state === 'absent' ? 'warn' : 'plain'}>
        {state === 'absent' ? 'gone' : 'unknown'}
      </Badge>
    </li>
  )
}
