/** The view of the fallback table: its rows, what they match, its warnings, and a draft to compare. */
import { useEffect, useState } from 'preact/hooks'
import type { DecisionDifference, StaticDecision } from '../../config/compare-decisions.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import type { DraftResult, Table } from '../wire.ts'
import { clock, plural } from './format.ts'
import { Badge, Empty, Panel, Problem } from './parts.tsx'
import type { Ask } from './store.ts'

export function TableView({
  table,
  ask,
  isShared,
}: {
  readonly table: Table | undefined
  readonly ask: Ask
  readonly isShared: boolean
}) {
  if (table === undefined) return <Empty title="Reading the cluster …" />
  return (
    <>
      {table.warnings.length > 0 && (
        <Panel title="Warnings" note={table.file}>
          <Problems problems={table.warnings} />
        </Panel>
      )}
      <Panel
        title="Rows"
        note={`${table.file}, read at ${clock(table.readAt)}, mode: ${table.mode}; ${plural(table.unmatched, 'image')} without a row`}
      >
        <Rows table={table} />
      </Panel>
      <Draft ask={ask} isShared={isShared} readAt={table.readAt} />
    </>
  )
}

function Rows({ table }: { readonly table: Table }) {
  if (table.rows.length === 0) return <Empty title="The table has no rows" />
  return (
    <div class="scroll" role="region" aria-label="Rows of the table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Row</th>
            <th scope="col">Images</th>
            <th scope="col">Candidates, in order</th>
            <th scope="col">Matches</th>
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row) => (
            <tr key={row.name}>
              <th scope="row">
                {row.name}
                {row.when !== null && <span class="detail">when {row.when}</span>}
              </th>
              <td>
                <Lines texts={row.images} />
              </td>
              <td>
                {row.leave ? <Badge tone="plain">left unchanged</Badge> : <Lines texts={row.try} />}
                {row.otherwise !== 'keep' && <span class="detail">otherwise: {row.otherwise}</span>}
              </td>
              <td>
                {row.hits === 0 ? (
                  <Badge tone="warn">no running image</Badge>
                ) : (
                  <>
                    {plural(row.hits, 'image')}
                    <span class="detail">{plural(row.pods, 'pod')}</span>
                  </>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Lines({ texts }: { readonly texts: readonly string[] }) {
  return (
    <>
      {texts.map((text) => (
        <code class="line" key={text}>
          {text}
        </code>
      ))}
    </>
  )
}

function Problems({ problems }: { readonly problems: readonly ConfigProblem[] }) {
  return (
    <ul class="texts">
      {problems.map(({ severity, line, column, path, message }) => (
        <li key={`${line} ${column} ${message}`}>
          <Badge tone={severity === 'error' ? 'bad' : 'warn'}>{severity}</Badge>{' '}
          {line !== null && <b>{`line ${line}: `}</b>}
          {path !== '' && <code>{path}</code>} {message}
        </li>
      ))}
    </ul>
  )
}

/** A draft of the config to compare. In the cluster, only the config in use. */
function Draft({
  ask,
  isShared,
  readAt,
}: {
  readonly ask: Ask
  readonly isShared: boolean
  readonly readAt: number
}) {
  const [current, setCurrent] = useState('')
  const [text, setText] = useState('')
  const [result, setResult] = useState<DraftResult | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [isAsking, setAsking] = useState(false)
  const run = async (work: () => Promise<void>) => {
    setAsking(true)
    setProblem(null)
    try {
      await work()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setAsking(false)
  }
  useEffect(() => {
    void run(async () => {
      const { text: inUse } = await ask<{ readonly text: string }>('config')
      setCurrent(inUse)
      // Keeps a draft that someone has begun.
      setText((draft) => (draft === current ? inUse : draft))
    })
  }, [readAt])
  const compare = () => run(async () => setResult(await ask<DraftResult>('draft', { text })))
  if (isShared)
    return (
      <Panel title="Config" note="berth console on your machine compares a draft with it">
        <Editor label="In use" text={current} />
        <Problem message={problem} />
      </Panel>
    )
  return (
    <Panel title="Try a draft" note="compares it with the config in use, and changes nothing">
      <div class="drafts">
        <Editor label="In use" text={current} />
        <Editor label="Draft" text={text} onInput={setText} />
      </div>
      <div class="actions">
        <button
          type="button"
          class="primary"
          disabled={isAsking || text === ''}
          onClick={() => void compare()}
        >
          Compare
        </button>
        <button type="button" disabled={text === current} onClick={() => setText(current)}>
          Discard the draft
        </button>
      </div>
      <Problem message={problem} />
      <div aria-live="polite">{result !== null && <Result result={result} />}</div>
    </Panel>
  )
}

/** Shows the text of a config. Read-only without `onInput`. */
function Editor({
  label,
  text,
  onInput,
}: {
  readonly label: string
  readonly text: string
  readonly onInput?: (text: string) => void
}) {
  return (
    <label>
      <span class="label">{label}</span>
      <textarea
        class="mono"
        rows={16}
        spellcheck={false}
        readOnly={onInput === undefined}
        value={text}
        onInput={(event) => onInput?.(event.currentTarget.value)}
      />
    </label>
  )
}

function Result({ result }: { readonly result: DraftResult }) {
  if (!result.ok) return <Problems problems={result.problems} />
  const { differences, more, compared, isComplete, warnings } = result
  return (
    <>
      <p>
        <b>
          {differences.length + more} of {plural(compared, 'image')}
        </b>{' '}
        would be decided differently.
        {!isComplete && ' There are more images, which take too long to compare.'}
      </p>
      {warnings.length > 0 && <Problems problems={warnings} />}
      <ul class="differences">
        {differences.map((each) => (
          <Difference key={`${each.image} ${each.namespace} ${each.by}`} difference={each} />
        ))}
      </ul>
      {more > 0 && <p class="dim">and {more} more</p>}
    </>
  )
}

function Difference({ difference }: { readonly difference: DecisionDifference }) {
  const { image, namespace, by } = difference
  return (
    <li>
      <span>
        <span class="mono">{image}</span>{' '}
        <span class="dim">
          in {namespace}, {by}
        </span>
      </span>
      <del>{decisionText(difference.old)}</del>
      <ins>{decisionText(difference.new)}</ins>
    </li>
  )
}

function decisionText({ row, candidates, left, pinned, pullPolicy, pullSecrets }: StaticDecision) {
  return [
    candidates.join(', '),
    `row ${row ?? 'none'}`,
    ...(left ? ['left unchanged'] : []),
    ...(pinned ? ['pinned'] : []),
    ...(pullPolicy === null ? [] : [`pull policy ${pullPolicy}`]),
    ...(pullSecrets.length === 0 ? [] : [`pull secrets ${pullSecrets.join(', ')}`]),
  ].join('; ')
}
