/** The view of pull failures: for each cause the verdict, the evidence and the commands that fix it. */
import type { Finding } from '../wire.ts'
import { age, plural } from './format.ts'
import { Badge, Command, Empty, type Tone } from './parts.tsx'

const certainties: Readonly<Record<string, readonly [Tone, string]>> = {
  proved: ['good', 'proved'],
  likely: ['warn', 'likely'],
  ambiguous: ['plain', 'ambiguous'],
  unknown: ['plain', 'unknown cause'],
}

export function FailuresView({
  findings,
  now,
}: {
  readonly findings: readonly Finding[] | undefined
  readonly now: number
}) {
  if (findings === undefined) return <Empty title="Reading the cluster …" />
  if (findings.length === 0)
    return (
      <Empty title="No pull failures">
        A pod that cannot pull an image appears here within seconds, with the cause.
      </Empty>
    )
  return (
    <div class="findings">
      {findings.map((finding) => (
        <FindingCard key={finding.id} finding={finding} now={now} />
      ))}
    </div>
  )
}

function FindingCard({ finding, now }: { readonly finding: Finding; readonly now: number }) {
  const { rule, cause, certainty, registry, means, fix, commands, berth, missing } = finding
  const [tone, text] = certainties[certainty] ?? ['plain', certainty]
  return (
    <article class="panel finding">
      <header>
        <h2>
          {cause} <span class="dim">{rule}</span>
        </h2>
        <span class="badges">
          <Badge tone={tone}>{text}</Badge>
          {!finding.isComplete && <Badge tone="plain">checking the registry …</Badge>}
        </span>
      </header>
      <p class="where">
        {plural(finding.count, 'container')}
        {registry !== null && (
          <>
            {' '}
            from <span class="mono">{registry}</span>
          </>
        )}
        {finding.secrets.length > 0 && `, with the secrets ${finding.secrets.join(', ')}`}, for{' '}
        {age(finding.since, now)}
      </p>
      <p>{means}</p>
      <p class="fix">
        <b>Fix:</b> {fix}
      </p>
      {commands.map((command) => (
        <Command key={command} text={command} />
      ))}
      {berth.length > 0 && <List title="Berth" texts={berth} />}
      <List
        title="Evidence"
        texts={finding.evidence.map(({ from, says, vantage }) =>
          vantage === undefined ? `${from}: ${says}` : `${from} (from ${vantage}): ${says}`,
        )}
      />
      {missing.length > 0 && <List title="What would prove it" texts={missing} />}
      <details>
        <summary>{plural(finding.count, 'failing container')}</summary>
        <ul class="plain">
          {finding.failures.map(({ namespace, pod, container, image, node, says }) => (
            <li key={`${namespace} ${pod} ${container} ${image}`}>
              <span class="mono">
                {namespace}/{pod}
              </span>
              <span class="dim">
                {container}: {image}
                {node !== null && `, on ${node}`}
              </span>
              {says.map((line) => (
                <code class="says" key={line}>
                  {line}
                </code>
              ))}
            </li>
          ))}
        </ul>
        {finding.count > finding.failures.length && (
          <p class="dim">and {finding.count - finding.failures.length} more</p>
        )}
      </details>
    </article>
  )
}

function List({ title, texts }: { readonly title: string; readonly texts: readonly string[] }) {
  if (texts.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <ul class="texts">
        {texts.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </>
  )
}
