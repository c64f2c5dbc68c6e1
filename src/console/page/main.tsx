/** Starts the page: navigation, the state of the connection, and the view that the address names. */
import { type ComponentChildren, render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { MirrorComparison } from '../wire.ts'
import { FailuresView } from './failures-view.tsx'
import { FlowView } from './flow-view.tsx'
import { age, clock, plural } from './format.ts'
import type { FilterName, Place } from './image-filter.ts'
import { ImagePanel } from './image-panel.tsx'
import { ImageTable } from './images-view.tsx'
import { MirrorView, type MirrorViewProps } from './mirror-view.tsx'
import { OverviewView } from './overview-view.tsx'
import { type Ask, createAsk, createStore, type State, type Store, takeToken } from './store.ts'
import { TableView } from './table-view.tsx'
import { TryView } from './try-view.tsx'

const views = {
  overview: 'Overview',
  flow: 'Flow',
  images: 'Images',
  failures: 'Pull failures',
  mirror: 'Mirrors',
  try: 'Try an image',
  table: 'Table',
} as const

type ViewName = keyof typeof views

function viewOfAddress(): ViewName {
  const name = location.hash.slice(2)
  return Object.hasOwn(views, name) ? (name as ViewName) : 'overview'
}

function Page({ store, ask }: { readonly store: Store; readonly ask: Ask }) {
  const [state, setState] = useState(store.state)
  const [view, setView] = useState(viewOfAddress)
  const [now, setNow] = useState(Date.now())
  const [filter, setFilter] = useState<FilterName>('all')
  const [place, setPlace] = useState<Place | null>(null)
  const [openId, setOpenId] = useState<string | null>(null)
  const [comparison, setComparison] = useState<MirrorComparison | null>(null)
  useEffect(() => {
    const update = () => setState(store.state)
    // The state may have changed since the first draw.
    update()
    return store.subscribe(update)
  }, [])
  useEffect(() => {
    const update = () => setView(viewOfAddress())
    addEventListener('hashchange', update)
    const timer = setInterval(() => setNow(Date.now()), 5_000)
    return () => {
      removeEventListener('hashchange', update)
      clearInterval(timer)
    }
  }, [])
  useEffect(() => {
    document.title = `${views[view]} · Berth console`
  }, [view])
  const isShared = state.status?.isShared === true
  // Whether the console contacts registries on request.
  const probes = state.status?.probes === true && !isShared
  const openRow = openId === null ? undefined : state.images.get(openId)
  const showImages = (name: FilterName) => {
    setFilter(name)
    setPlace(null)
    location.hash = '#/images'
  }
  const choice = { filter, place, onFilter: setFilter, onPlace: setPlace, onOpen: setOpenId }
  const table = <ImageTable images={state.images} comparison={comparison} {...choice} />
  const compared = { comparison, onComparison: setComparison }
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => focusMain(event)}>
        Skip to content
      </a>
      <Navigation view={view} state={state} />
      <main id="main" tabIndex={-1}>
        <header class="top">
          <h1>{views[view]}</h1>
          <ConnectionState state={state} ask={ask} />
        </header>
        <Notices state={state} now={now} />
        <View
          {...{ view, state, ask, probes, isShared, now, choice, table, compared }}
          onFilter={showImages}
        />
      </main>
      {openRow !== undefined && (
        <ImagePanel
          key={openRow.id}
          row={openRow}
          ask={ask}
          probes={probes}
          onClose={() => setOpenId(null)}
        />
      )}
    </>
  )
}

interface ViewProps {
  readonly view: ViewName
  readonly state: State
  readonly ask: Ask
  readonly probes: boolean
  readonly isShared: boolean
  readonly now: number
  readonly choice: { readonly place: Place | null; readonly onPlace: (place: Place | null) => void }
  /** The list of images. */
  readonly table: ComponentChildren
  readonly compared: Pick<MirrorViewProps, 'comparison' | 'onComparison'>
  readonly onFilter: (filter: FilterName) => void
}

function View(props: ViewProps) {
  const { view, state, ask, probes, isShared, now, choice, table, compared, onFilter } = props
  switch (view) {
    case 'overview':
      return (
        <OverviewView
          state={state}
          onFilter={onFilter}
          onFailures={() => {
            location.hash = '#/failures'
          }}
        />
      )
    case 'flow':
      return (
        <>
          <FlowView flow={state.flow} place={choice.place} onPlace={choice.onPlace} />
          {table}
        </>
      )
    case 'images':
      return <>{table}</>
    case 'failures':
      return <FailuresView findings={state.findings} now={now} />
    case 'mirror':
      return <MirrorView ask={ask} probes={probes} isShared={isShared} {...compared} />
    case 'try':
      return <TryView ask={ask} probes={probes} />
    case 'table':
      return <TableView table={state.table} ask={ask} isShared={isShared} />
  }
}

function focusMain(event: Event): void {
  // The fragment names the view.
  event.preventDefault()
  document.querySelector('main')?.focus()
}

function Navigation({ view, state }: { readonly view: ViewName; readonly state: State }) {
  const counts: Partial<Record<ViewName, number>> = {
    images: state.images.size,
    failures: state.findings?.length ?? 0,
  }
  return (
    <nav aria-label="Views">
      <p class="brand">Berth</p>
      <ul>
        {Object.entries(views).map(([name, text]) => {
          const count = counts[name as ViewName]
          return (
            <li key={name}>
              <a href={`#/${name}`} {...(view === name ? { 'aria-current': 'page' } : {})}>
                {text}
                {count !== undefined && count > 0 && (
                  <span class={name === 'failures' ? 'tally bad' : 'tally'}>
                    {count.toLocaleString('en')}
                  </span>
                )}
              </a>
            </li>
          )
        })}
      </ul>
    </nav>
  )
}

function ConnectionState({ state, ask }: { readonly state: State; readonly ask: Ask }) {
  const { status, connection } = state
  const isLive = connection === 'live' && status?.awaySince === null
  return (
    <div class="connection">
      {status !== undefined && (
        <span class="context">
          {status.context}
          <span class="dim"> {status.namespace ?? 'all namespaces'}</span>
        </span>
      )}
      <span class={isLive ? 'live on' : 'live'} role="status">
        {isLive ? 'live' : connection === 'connecting' ? 'connecting' : 'not live'}
      </span>
      {status?.probes === true && !status.isShared && (
        <button
          type="button"
          class="small"
          disabled={status.checking > 0}
          onClick={() => void ask('check').catch(() => undefined)}
        >
          {status.checking > 0
            ? `Checking registries: ${status.checking} left`
            : 'Check registries again'}
        </button>
      )}
    </div>
  )
}

function Notices({ state, now }: { readonly state: State; readonly now: number }) {
  const { status, connection, lostSince } = state
  const notices = [
    ...(connection === 'refused'
      ? ['The address has no valid token. Open the whole address, with the part after #.']
      : []),
    ...(lostSince !== null
      ? [
          `The console has not answered since ${clock(lostSince)}. The page shows what it last sent.`,
        ]
      : []),
    ...(status !== undefined && status.awaySince !== null
      ? [
          `The API server has not answered since ${clock(status.awaySince)} (${age(status.awaySince, now)}). The page shows the last known state.`,
        ]
      : []),
    ...(status?.leftOut
      ? [
          `Not shown: ${plural(status.leftOut, 'pod')}. The console follows at most 20,000 pods, fewer if they or their images take too much memory, and leaves out pods with more than 64 kB of names and images.`,
        ]
      : []),
    ...(status?.problems ?? []),
  ]
  return (
    <div role="status" class="notices">
      {notices.map((text) => (
        <p key={text}>{text}</p>
      ))}
    </div>
  )
}

const token = takeToken()
const root = document.getElementById('page')
if (root !== null) render(<Page store={createStore(token)} ask={createAsk(token)} />, root)
