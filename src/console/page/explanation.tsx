/** Shows an explanation: the row, each candidate with its outcome, and the result. */
import type { Explanation } from '../../explain/explanation.ts'
import { shortDigest } from './format.ts'
import { Badge, type Tone } from './parts.tsx'

export interface ExplainAnswer {
  readonly explanation: Explanation
  readonly isDenied: boolean
}

const tones: Readonly<Record<string, Tone>> = {
  found: 'good',
  unasked: 'plain',
  skipped: 'plain',
  absent: 'warn',
  limited: 'warn',
}

export function ExplanationView({ answer }: { readonly answer: ExplainAnswer }) {
  const { explanation, isDenied } = answer
  if ('error' in explanation)
    return (
      <p class="problem" role="alert">
        {explanation.error.message}
      </p>
    )
  const { row, left, candidates, chosen, changed, pinned, pullSecrets, warnings } = explanation
  return (
    <div class="explanation">
      <dl class="facts">
        <dt>A new pod gets</dt>
        <dd>
          {isDenied ? (
            <Badge tone="bad">the pod is denied</Badge>
          ) : (
            <>
              <code title={chosen}>{shortDigest(chosen)}</code>{' '}
              {!changed && <Badge tone="plain">unchanged</Badge>}
              {pinned && <Badge tone="good">pinned</Badge>}
            </>
          )}
        </dd>
        <dt>Row</dt>
        <dd>
          {row ?? 'no row matches'}
          {left && ' (leaves the image unchanged)'}
        </dd>
        {pullSecrets.length > 0 && (
          <>
            <dt>Pull secrets added</dt>
            <dd>{pullSecrets.join(', ')}</dd>
          </>
        )}
      </dl>
      {candidates.length > 0 && (
        <ol class="candidates" aria-label="Candidates, in the order in which they are tried">
          {candidates.map((each) => (
            <li key={each.image}>
              <code title={each.image}>{shortDigest(each.image)}</code>
              <span>
                <Badge tone={tones[each.outcome] ?? 'bad'}>
                  {each.outcome === 'unasked' ? 'not checked' : each.outcome}
                </Badge>{' '}
                <span class="dim">
                  {[
                    each.detail,
                    each.milliseconds === null ? null : `${Math.round(each.milliseconds)} ms`,
                    each.proxy === null ? null : `through ${each.proxy}`,
                  ]
                    .filter((text) => text !== null)
                    .join(' · ')}
                </span>
              </span>
            </li>
          ))}
        </ol>
      )}
      {warnings.length > 0 && (
        <ul class="warnings">
          {warnings.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
    </div>
  )
}
