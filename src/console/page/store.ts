/** Holds what the server has sent, and connects to it again when the connection ends. */
import type { ImageRow, ImagesChange, Sections } from '../wire.ts'
import { createEventParser } from './event-parser.ts'

export type Connection = 'connecting' | 'live' | 'lost' | 'refused'

export interface State extends Partial<Sections> {
  readonly images: ReadonlyMap<string, ImageRow>
  readonly connection: Connection
  /** When the connection was lost, in milliseconds since 1970. */
  readonly lostSince: number | null
}

export interface Store {
  readonly state: State
  subscribe(listener: () => void): () => void
}

/** Milliseconds until the next attempt to connect. */
const retryMs = 2_000

/** The token is in the fragment, which browsers do not send, and is kept for reloads of this tab only. */
export function takeToken(): string {
  const found = /^#token=([\w-]+)$/.exec(location.hash)?.[1]
  if (found !== undefined) {
    sessionStorage.setItem('token', found)
    history.replaceState(null, '', '#/')
  }
  return found ?? sessionStorage.getItem('token') ?? ''
}

/** No header without a token: it would replace the credentials that the browser sends to an authenticating proxy. */
const authorization = (token: string): Readonly<Record<string, string>> =>
  token === '' ? {} : { authorization: `Bearer ${token}` }

export function createStore(token: string): Store {
  const listeners = new Set<() => void>()
  let frame = 0
  const store = {
    state: { images: new Map(), connection: 'connecting', lostSince: null } as State,
    subscribe: (listener: () => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const set = (change: Partial<State>) => {
    store.state = { ...store.state, ...change }
    // Changes come in bursts; the page is drawn once for each frame.
    cancelAnimationFrame(frame)
    frame = requestAnimationFrame(() => {
      for (const listener of listeners) listener()
    })
  }
  void follow(token, set, () => store.state)
  return store
}

async function follow(
  token: string,
  set: (change: Partial<State>) => void,
  current: () => State,
): Promise<void> {
  for (;;) {
    try {
      const response = await fetch('/api/events', { headers: authorization(token) })
      if (response.status === 401 || response.status === 403) {
        set({ connection: 'refused' })
        return
      }
      if (response.ok && response.body !== null) {
        set({ connection: 'live', lostSince: null })
        await read(response.body, (name, data) => set(apply(current(), name, JSON.parse(data))))
      }
    } catch {
      // The next attempt follows.
    }
    set({ connection: 'lost', lostSince: current().lostSince ?? Date.now() })
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
}

async function read(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  onEvent: (name: string, data: string) => void,
): Promise<void> {
  const parse = createEventParser()
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    for (const { name, data } of parse(value)) onEvent(name, data)
  }
}

function apply(state: State, name: string, value: unknown): Partial<State> {
  if (name !== 'images') return { [name]: value }
  const { isAll, changed, removed } = value as ImagesChange
  const images = new Map(isAll ? [] : state.images)
  for (const id of removed) images.delete(id)
  for (const row of changed) images.set(row.id, row)
  return { images }
}

export type Ask = <Answer>(question: string, body?: object) => Promise<Answer>

/** Returns a function that asks the server a question. It throws an Error with the message of the server. */
export function createAsk(token: string): Ask {
  return async <Answer>(question: string, body: object = {}) => {
    const response = await fetch(`/api/${question}`, {
      method: 'POST',
      headers: { ...authorization(token), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const answer: unknown = await response.json()
    if (!response.ok) throw new Error((answer as { readonly problem: string }).problem)
    return answer as Answer
  }
}
