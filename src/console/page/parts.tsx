/** Small parts that several views use. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { RegistryState } from '../wire.ts'

export type Tone = 'good' | 'warn' | 'bad' | 'plain'

export function Badge({
  tone,
  children,
}: {
  readonly tone: Tone
  readonly children: ComponentChildren
}) {
  return <span class={`badge ${tone}`}>{children}</span>
}

export function Empty({
  title,
  children,
}: {
  readonly title: string
  readonly children?: ComponentChildren
}) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children !== undefined && <p>{children}</p>}
    </div>
  )
}

/** A panel with a heading. */
export function Panel({
  title,
  note,
  children,
}: {
  readonly title: string
  readonly note?: ComponentChildren
  readonly children: ComponentChildren
}) {
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
        {note !== undefined && <span class="note">{note}</span>}
      </header>
      {children}
    </section>
  )
}

/** A command with a button that copies it. */
export function Command({ text }: { readonly text: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      // The browser does not allow it; the text can be selected.
      return
    }
    setCopied(true)
    setTimeout(() => setCopied(false), 2_000)
  }
  return (
    <div class="command">
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" class="small" onClick={() => void copy()}>
        {isCopied ? 'Copied' : 'Copy'}
      </button>
    </div>
  )
}

const stateTexts: Readonly<Record<RegistryState, readonly [Tone, string]>> = {
  ok: ['good', 'answers'],
  limited: ['warn', 'rate limited'],
  dead: ['bad', 'does not answer'],
  unknown: ['plain', 'not checked yet'],
}

export function RegistryBadge({ state }: { readonly state: RegistryState }) {
  const [tone, text] = stateTexts[state]
  return <Badge tone={tone}>{text}</Badge>
}

/** A bar for a share, whose number is next to it as text. */
function Meter({
  part,
  whole,
  tone,
}: {
  readonly part: number
  readonly whole: number
  readonly tone: Tone
}) {
  return (
    <svg class={`meter ${tone}`} viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" width="100" height="4" rx="2" />
      <rect class="value" width={whole === 0 ? 0 : (100 * part) / whole} height="4" rx="2" />
    </svg>
  )
}

export function Problem({ message }: { readonly message: string | null }) {
  return message === null ? null : (
    <p class="problem" role="alert">
      {message}
    </p>
  )
}

interface TileProps {
  readonly name: string
  readonly value: string
  readonly tone?: Tone
  readonly meter?: readonly [part: number, whole: number, tone: Tone]
  readonly onClick: () => void
  readonly children: ComponentChildren
}

/** A number of the overview; a click shows what it counts. */
export function Tile({ name, value, tone = 'plain', meter, onClick, children }: TileProps) {
  return (
    <li>
      <button type="button" class={`tile ${tone}`} onClick={onClick}>
        <span class="name">{name}</span>
        <span class="value">{value}</span>
        {meter !== undefined && <Meter part={meter[0]} whole={meter[1]} tone={meter[2]} />}
        <span class="dim">{children}</span>
      </button>
    </li>
  )
}
