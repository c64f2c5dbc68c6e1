/** Registries for tests: a fixed answer for each image. */
import type { QueryManifest } from '../../src/decision/resolve/manifest-cache.ts'
import type {
  ManifestAnswer,
  FailedOutcome,
  ManifestQuery,
} from '../../src/decision/resolve/manifest-source.ts'
import {
  createPlatformLookup,
  type PlatformSource,
} from '../../src/decision/resolve/platform-lookup.ts'
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

/** In place of an answer: the registry does not answer until the caller gives up. */
export const silent = 'silent'

export interface Registries {
  readonly dependencies: ResolveDependencies
  /** The queries in order, as `host/repository:reference`. */
  readonly asked: string[]
}

/**
 * Returns registries with these answers, by `host/repository:reference` or by host. Other images are absent. The config
 * does not list the hosts in `unlisted`, and has `probe: false` for those in `trusted`.
 */
export function registriesOf(
  answers: Readonly<Record<string, ManifestAnswer | typeof silent>>,
  options: {
    readonly unlisted?: readonly string[]
    readonly trusted?: readonly string[]
    /** The platforms of images, by digest. Those of other images are not known. */
    readonly platforms?: Readonly<Record<string, readonly string[]>>
    /** The platforms that the config wants, by host. */
    readonly wanted?: Readonly<Record<string, readonly string[]>>
  } = {},
): Registries {
  const asked: string[] = []
  const queryManifest: QueryManifest = (query, signal) => {
    const name = nameOf(query)
    asked.push(name)
    const answer = answers[name] ?? answers[query.host] ?? failed('absent', '404')
    if (answer !== silent) return Promise.resolve(answer)
    return new Promise((resolve) => {
      const giveUp = () => resolve(failed('timeout', 'no response in time'))
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
      platforms: {
        check: createPlatformLookup({ readPlatforms: readPlatformsOf(options) }, queryManifest),
        wantedOf: (host) => options.wanted?.[host] ?? [],
      },
    },
  }
}

function readPlatformsOf({
  platforms = {},
}: {
  readonly platforms?: Readonly<Record<string, readonly string[]>>
}): PlatformSource['readPlatforms'] {
  return ({ reference }) => {
    const known = platforms[reference]
    return Promise.resolve(
      known === undefined
        ? { ok: false, detail: '503' }
        : { ok: true, entries: known.map((platform) => ({ platform, digest: null })) },
    )
  }
}

function nameOf({ host, repository, reference }: ManifestQuery): string {
  return `${host}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
}
