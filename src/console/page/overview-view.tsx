/** The first view: whether images come from mirrors, and what fails. */
import type { AtRisk, Overview, Sample } from '../wire.ts'
import { AtRiskPanel, AtRiskTile } from './at-risk.tsx'
import { percent, plural } from './format.ts'
import type { FilterName } from './image-filter.ts'
import { Empty, Panel, RegistryBadge, Tile } from './parts.tsx'
import { Sparkline } from './sparkline.tsx'
import type { State } from './store.ts'
import { TrendPanel } from './trend-panel.tsx'

export interface OverviewProps {
  readonly state: State
  readonly onFilter: (filter: FilterName) => void
  readonly onFailures: () => void
}

export function OverviewView({ state, onFilter, onFailures }: OverviewProps) {
  const { overview, table, trend, atRisk, history = [] } = state
  if (overview === undefined) return <Empty title="Reading the cluster …" />
  return (
    <>
      <Tiles overview={overview} atRisk={atRisk} onFilter={onFilter} onFailures={onFailures} />
      <div class="columns">
        <Panel title="Pull failures by cause">
          {overview.causes.length === 0 ? (
            <Empty title="No pull failures" />
          ) : (
            <ul class="bars">
              {overview.causes.map(({ rule, cause, pods }, index) => (
                <li key={`${rule} ${index}`}>
                  <span>
                    {cause} <span class="dim">{rule}</span>
                  </span>
                  <span class="number">{pods}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title="Left unchanged, by reason">
          {overview.unchanged.length === 0 ? (
            <Empty title="No image is left unchanged" />
          ) : (
            <ul class="bars">
              {overview.unchanged.map(({ why, images }) => (
                <li key={why}>
                  <span>{why}</span>
                  <span class="number">{images}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title="Registries">
          <ul class="bars">
            {(table?.registries ?? []).map(({ host, mirror, state: health, detail }) => (
              <li key={host}>
                <span>
                  <span class="mono">{host}</span> {mirror && <span class="dim">mirror</span>}
                  {detail !== null && <span class="detail">{detail}</span>}
                </span>
                <RegistryBadge state={health} />
              </li>
            ))}
          </ul>
        </Panel>
        <History samples={history} />
        {state.status?.isShared !== true && <TrendPanel trend={trend} />}
        {atRisk !== undefined && <AtRiskPanel atRisk={atRisk} />}
      </div>
    </>
  )
}

function Tiles({
  overview: each,
  atRisk,
  onFilter,
  onFailures,
}: Pick<OverviewProps, 'onFilter' | 'onFailures'> & {
  readonly overview: Overview
  readonly atRisk: AtRisk | undefined
}) {
  return (
    <ul class="tiles">
      <Tile name="Pods" value={each.pods.toLocaleString('en')} onClick={() => onFilter('all')}>
        {plural(each.images, 'image')}
      </Tile>
      <Tile
        name="From a mirror"
        value={percent(each.podsOnMirror, each.pods)}
        meter={[each.podsOnMirror, each.pods, 'good']}
        onClick={() => onFilter('upstream')}
      >
        {each.podsOnMirror.toLocaleString('en')} of {each.pods.toLocaleString('en')}
      </Tile>
      <Tile
        name="Pinned"
        value={percent(each.pinned, each.images)}
        meter={[each.pinned, each.images, 'good']}
        onClick={() => onFilter('unpinned')}
      >
        {(each.images - each.pinned).toLocaleString('en')} by tag
      </Tile>
      <Tile
        name="Works offline"
        value={percent(each.mirrored, each.images)}
        meter={[each.mirrored, each.images, 'good']}
        tone={each.needInternet > 0 ? 'warn' : 'plain'}
        onClick={() => onFilter('internet')}
      >
        {each.needInternet.toLocaleString('en')} need the internet
        {each.unknown > 0 && `, ${each.unknown.toLocaleString('en')} unknown`}
      </Tile>
      {atRisk !== undefined && <AtRiskTile atRisk={atRisk} />}
      <Tile
        name="Cannot pull"
        value={each.failingPods.toLocaleString('en')}
        tone={each.failingPods > 0 ? 'bad' : 'plain'}
        onClick={onFailures}
      >
        {each.failingPods === 0 ? 'no pull failures' : 'pods; see the causes'}
      </Tile>
      <Tile
        name="Not processed"
        value={each.unprocessedPods.toLocaleString('en')}
        tone={each.unprocessedPods > 0 ? 'warn' : 'plain'}
        onClick={() => onFilter('unprocessed')}
      >
        {each.unprocessedPods === 0 ? 'no pod was missed' : 'new pods would differ'}
      </Tile>
    </ul>
  )
}

function History({ samples }: { readonly samples: readonly Sample[] }) {
  const share = samples.map(({ podsOnMirror, pods }) => (pods === 0 ? 0 : podsOnMirror / pods))
  return (
    <Panel title="Since the console started">
      {samples.length < 2 ? (
        <Empty title="The first values appear after two minutes" />
      ) : (
        <div class="sparks">
          <Sparkline
            name="Pods on a mirror"
            values={share}
            max={1}
            text={`${Math.round(100 * (share.at(-1) ?? 0))}%`}
            samples={samples}
          />
          <Sparkline
            name="Cannot pull"
            values={samples.map(({ failingPods }) => failingPods)}
            text={String(samples.at(-1)?.failingPods)}
            samples={samples}
            isBad
          />
          <Sparkline
            name="Need the internet"
            values={samples.map(({ needInternet }) => needInternet)}
            text={String(samples.at(-1)?.needInternet)}
            samples={samples}
            isBad
          />
        </div>
      )}
    </Panel>
  )
}
