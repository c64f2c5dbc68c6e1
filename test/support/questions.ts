import type { Ask } from '../../src/decision/resolve/answer-cache.ts'
import type { Answer, Failure, Question } from '../../src/decision/resolve/manifest-source.ts'
import type { ResolveDependencies } from '../../src/decision/resolve/resolve.ts'

export const digestA = `sha256:${'a'.repeat(64)}`
export const digestB = `sha256:${'b'.repeat(64)}`

export function found(digest: string = digestA): Answer {
  return { outcome: 'found', digest, mediaType: 'application/vnd.oci.image.index.v1+json' }
}

export function failed(
  outcome: Failure,
  detail: string = outcome,
): Extract<Answer, { outcome: Failure }> {
  return { outcome, detail }
}

/** Never answers; gives up when the caller does. */
export const silent = 'silent'

export interface Registries {
  readonly dependencies: ResolveDependencies
  /** What was asked, in order: `host/repository:reference`. */
  readonly asked: string[]
}

/**
 * Registries as a map from `host/repository:reference`, or from a host alone, to an answer. What is not in the map is
 * absent; hosts in `unlisted` are not known to the configuration.
 */
export function registriesOf(
  answers: Readonly<Record<string, Answer | typeof silent>>,
  options: { readonly unlisted?: readonly string[]; readonly trusted?: readonly string[] } = {},
): Registries {
  const asked: string[] = []
  const ask: Ask = (question, signal) => {
    const name = nameOf(question)
    asked.push(name)
    const answer = answers[name] ?? answers[question.host] ?? failed('absent', '404')
    if (answer !== silent) return Promise.resolve(answer)
    return new Promise((resolve) => {
      const giveUp = () => resolve(failed('timeout', 'no answer in time'))
      if (signal.aborted) giveUp()
      else signal.addEventListener('abort', giveUp, { once: true })
    })
  }
  return {
    asked,
    dependencies: {
      ask,
      knows: (host) => host !== '' && !(options.unlisted ?? []).includes(host),
      probes: (host) => !(options.trusted ?? []).includes(host),
      now: () => performance.now(),
    },
  }
}

function nameOf({ host, repository, reference }: Question): string {
  return `${host}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
}
