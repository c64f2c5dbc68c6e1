/** The panel of one image: what Berth decides, what registries say, and where it runs. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ImageDetail, ImageRow } from '../wire.ts'
import { type ExplainAnswer, ExplanationView } from './explanation.tsx'
import { clock, plural, shortDigest } from './format.ts'
import { ImageState } from './images-view.tsx'
import { Badge, Problem } from './parts.tsx'
import type { Ask } from './store.ts'

export interface ImagePanelProps {
  readonly row: ImageRow
  readonly ask: Ask
  /** Whether the console contacts registries. */
  readonly probes: boolean
  readonly onClose: () => void
}

/** Of the image that a new pod gets; null if they are not known. */
interface Platforms {
  readonly platforms: readonly string[] | null
}

export function ImagePanel({ row, ask, probes, onClose }: ImagePanelProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [detail, setDetail] = useState<ImageDetail | null>(null)
  const [answer, setAnswer] = useState<(ExplainAnswer & Platforms) | null>(null)
  const [isAsking, setAsking] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  // A modal dialog keeps the focus, closes with Escape, and gives the focus back.
  useEffect(() => dialog.current?.showModal(), [])
  useEffect(() => {
    ask<ImageDetail>('image', { id: row.id }).then(setDetail, (error: Error) =>
      setProblem(error.message),
    )
  }, [row])
  const probe = async () => {
    setAsking(true)
    try {
      setAnswer(await ask<ExplainAnswer & Platforms>('explain-image', { id: row.id }))
      setProblem(null)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setAsking(false)
  }
  return (
    <dialog class="drawer" ref={dialog} onClose={onClose} aria-labelledby="image-title">
      <header>
        <h2 id="image-title" class="mono">
          {row.image}
        </h2>
        <button type="button" class="small" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </header>
      <ImageState row={row} />
      <Facts row={row} />
      <Problem message={problem} />
      <section>
        <header>
          <h3>Candidates</h3>
          {probes && (
            <button type="button" class="small" disabled={isAsking} onClick={() => void probe()}>
              {isAsking ? 'Checking …' : 'Check the registries now'}
            </button>
          )}
        </header>
        {answer !== null ? (
          <>
            <ExplanationView answer={answer} />
            <p>
              <span class="dim">Platforms: </span>
              {answer.platforms === null ? 'not known' : answer.platforms.join(', ')}
            </p>
          </>
        ) : (
          <Candidates candidates={detail?.candidates ?? []} />
        )}
      </section>
      {detail !== null && <Places detail={detail} />}
    </dialog>
  )
}

function Facts({ row }: { readonly row: ImageRow }) {
  return (
    <dl class="facts">
      <dt>Namespace</dt>
      <dd>
        {row.namespace}, {plural(row.pods, 'pod')}
      </dd>
      <dt>Row</dt>
      <dd>{row.row ?? 'no row matches'}</dd>
      <dt>Runs</dt>
      <dd>
        {row.runs.map((each) => (
          <code key={each} title={each}>
            {shortDigest(each)}
          </code>
        ))}
      </dd>
      {row.checkedAt !== null && (
        <>
          <dt>A new pod gets</dt>
          <dd>
            {row.becomes === null ? 'the same image' : <code>{shortDigest(row.becomes)}</code>}
            <span class="dim">
              {row.why} · checked at {clock(row.checkedAt)}
            </span>
          </dd>
        </>
      )}
    </dl>
  )
}

function Candidates({ candidates }: { readonly candidates: readonly string[] }) {
  if (candidates.length === 0) return <p class="dim">None: Berth leaves the image unchanged.</p>
  return (
    <ol class="candidates">
      {candidates.map((each) => (
        <li key={each}>
          <code>{shortDigest(each)}</code>
        </li>
      ))}
    </ol>
  )
}

function Places({ detail }: { readonly detail: ImageDetail }) {
  return (
    <>
      <section>
        <h3>Digests by revision</h3>
        <ul class="plain">
          {detail.revisions.map(({ owner, digest, pods }) => (
            <li key={`${owner} ${digest}`}>
              <code>{digest === null ? 'no digest yet' : shortDigest(digest)}</code>
              <span class="dim">
                {owner}, {plural(pods, 'pod')}
              </span>
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h3>Where it runs</h3>
        <ul class="plain">
          {detail.pods.map(({ name, node, phase, isReady }) => (
            <li key={name}>
              <span class="mono">{name}</span>
              <span class="dim">
                {node ?? 'no node'}{' '}
                <Badge tone={isReady ? 'good' : 'warn'}>{isReady ? 'ready' : phase}</Badge>
              </span>
            </li>
          ))}
        </ul>
        {detail.morePods > 0 && <p class="dim">and {plural(detail.morePods, 'more pod')}</p>}
      </section>
    </>
  )
}
