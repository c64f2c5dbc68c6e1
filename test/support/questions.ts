import type { QueryManifest } from '../../src/decision/resolve/manifest-cache.ts'
import type {
  ManifestAnswer,
  FailedOutcome,
  ManifestQuery,
} from '../../src/decision/resolve/manifest-source.ts'
import type { ResolveDependencies } from '../../src/decision/resolve/probe-candidate.ts'

export const digestA = `sha256:${'a'.repeat(64)}`
export const digestB = `sha256:${'b'.repeat(64)}`

export function found(digest: string = digestA): ManifestAnswer {
  return { outcome: 'found', digest, mediaType: 'application/vnd.oci.image.index.v1+json' }
}

export function failed(
  outcome: FailedOutcome,
  detail: string = outcome,
): Extract<ManifestAnswer, { outcome: FailedOutcome }> {
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
  answers: Readonly<Record<string, ManifestAnswer | typeof silent>>,
  options: { readonly unlisted?: readonly string[]; readonly trusted?: readonly string[] } = {},
): Registries {
  const asked: string[] = []
  const queryManifest: QueryManifest = (question, signal) => {
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
      queryManifest,
      isListed: (host) => host !== '' && !(options.unlisted ?? []).includes(host),
      isProbed: (host) => !(options.trusted ?? []).includes(host),
      now: () => performance.now(),
    },
  }
}

function nameOf({ host, repository, reference }: ManifestQuery): string {
  return `${host}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
}
